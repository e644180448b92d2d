//! Entries under numbers that are never used twice.

use rustc_hash::{FxHashMap, FxHashSet};

/// Entries under numbers that are never used twice.
#[derive(Debug)]
pub struct Registry<T> {
    pub entries: FxHashMap<u64, T>,
    used: FxHashSet<u64>,
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Registry {
            entries: FxHashMap::default(),
            used: FxHashSet::default(),
        }
    }
}

impl<T> Registry<T> {
    /// Add an entry; an error with its number where that was used before.
    pub fn add(&mut self, number: u64, entry: T) -> Result<(), u64> {
        if !self.used.insert(number) {
            return Err(number);
        }
        self.entries.insert(number, entry);
        Ok(())
    }
}
