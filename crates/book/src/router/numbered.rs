//! Things under numbers that are never used twice.

use rustc_hash::{FxHashMap, FxHashSet};

/// Things under numbers that are never used twice.
#[derive(Debug)]
pub struct Numbered<T> {
    pub held: FxHashMap<u64, T>,
    used: FxHashSet<u64>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Numbered {
            held: FxHashMap::default(),
            used: FxHashSet::default(),
        }
    }
}

impl<T> Numbered<T> {
    /// Take up a thing; its number where that was used before.
    pub fn add(&mut self, number: u64, thing: T) -> Result<(), u64> {
        if !self.used.insert(number) {
            return Err(number);
        }
        self.held.insert(number, thing);
        Ok(())
    }
}
