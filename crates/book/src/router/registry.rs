//! Entries under numbers that are never used twice.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

/// Entries under numbers that are never used twice.
#[derive(Debug)]
pub struct Registry<T> {
    pub entries: FxHashMap<u64, T>,
    used: Numbers,
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Registry {
            entries: FxHashMap::default(),
            used: Numbers::default(),
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

/// Numbers as runs of consecutive ones, first and last: callers count up, so there are few.
#[derive(Debug, Default)]
struct Numbers(BTreeMap<u64, u64>);

impl Numbers {
    /// False if it is one of them already.
    fn insert(&mut self, number: u64) -> bool {
        let (mut first, mut last) = (number, number);
        if let Some((&start, &end)) = self.0.range(..=number).next_back() {
            if end >= number {
                return false;
            }
            if end + 1 == number {
                first = start;
            }
        }
        let next = number.checked_add(1);
        if let Some(end) = next.and_then(|next| self.0.remove(&next)) {
            last = end;
        }
        self.0.insert(first, last);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_used_once_in_any_order() {
        let mut registry = Registry::default();
        for number in [5, 7, 6, 0, u64::MAX, 1, u64::MAX - 1] {
            assert_eq!(registry.add(number, ()), Ok(()));
        }
        for number in [0, 1, 5, 6, 7, u64::MAX - 1, u64::MAX] {
            assert_eq!(registry.add(number, ()), Err(number));
        }
        assert_eq!((registry.add(4, ()), registry.add(2, ())), (Ok(()), Ok(())));
        assert_eq!((registry.add(3, ()), registry.add(4, ())), (Ok(()), Err(4)));
    }

    #[test]
    fn entries_that_were_removed_leave_nothing() {
        let mut registry = Registry::default();
        for number in 1..10_000 {
            registry.add(number, ()).expect("never used before");
            registry.entries.remove(&number);
        }
        assert_eq!(registry.used.0.len(), 1);
    }
}
