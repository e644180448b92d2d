//! One chunk: up to `CAP` sorted slots, some of them tombstones. Why: `chunks`.

use crate::mantissa::Mantissa;
use crate::prefetch;
use crate::vectors::{self, Avx2};

/// Runs of slots in a chunk.
const RUNS: usize = 8;

/// How far a new key looks for a tombstone to take without vector instructions; with them it is further.
const NEAR: usize = 8;

/// In this order in memory: the fields of the head are adjacent.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Chunk<N, const CAP: usize> {
    /// Slots in use, tombstones included. The keys behind are `MAX`, so that no search needs it, and
    /// the quantities behind are zero.
    pub used: usize,
    /// Slots in use that are not tombstones.
    pub live: usize,
    /// The last key of each run of slots: a search by way of it reads two short pieces of memory.
    tops: [N; RUNS],
    pub keys: [N; CAP],
    pub quantities: [N; CAP],
}

impl<N: Mantissa, const CAP: usize> Chunk<N, CAP> {
    /// Slots of a run.
    const RUN: usize = CAP / RUNS;

    pub fn boxed() -> Box<Self> {
        Box::new(Chunk {
            used: 0,
            live: 0,
            tops: [N::MAX; RUNS],
            keys: [N::MAX; CAP],
            quantities: [N::ZERO; CAP],
        })
    }

    /// How many keys are smaller: the slot of the key, or where it belongs.
    #[inline(always)]
    pub fn slot(&self, key: N) -> usize {
        self.keys.partition_point(|held| *held < key)
    }

    /// The same by vector instructions; None where there are none for it.
    #[inline(always)]
    pub fn slot_by(&self, vectors: Option<Avx2>, key: N) -> Option<usize> {
        let run = N::count_below(vectors, &self.tops, key)?.min(RUNS - 1);
        let keys = &self.keys[run * Self::RUN..][..Self::RUN];
        Some(run * Self::RUN + N::count_below(vectors, keys, key)?)
    }

    /// The run of slots in which a key is or belongs; `RUNS` for behind all of a full chunk.
    #[inline(always)]
    pub fn run(&self, key: N) -> usize {
        self.tops.partition_point(|top| *top < key)
    }

    /// The same as `slot`, by way of the key's run.
    #[inline(always)]
    pub fn slot_in(&self, run: usize, key: N) -> usize {
        let start = run * Self::RUN;
        if run == RUNS {
            return start;
        }
        start + self.keys[start..start + Self::RUN].partition_point(|held| *held < key)
    }

    /// Prefetch what says in which run a key is (`prefetch`).
    #[inline(always)]
    pub fn fetch_head(&self) {
        prefetch::fetch_to_write(std::slice::from_ref(&self.used));
        prefetch::fetch(&self.tops);
        prefetch::fetch(&self.tops[RUNS - 1..]); // they seldom begin with a cache line
    }

    /// Prefetch the slots of a run.
    #[inline(always)]
    pub fn fetch_run(&self, run: usize) {
        let start = run.min(RUNS - 1) * Self::RUN;
        prefetch::fetch(&self.keys[start..start + Self::RUN]);
        prefetch::fetch_to_write(&self.quantities[start..start + Self::RUN]);
    }

    #[inline(always)]
    pub fn holds(&self, slot: usize, key: N) -> bool {
        (slot < self.used) & (self.keys[slot & (CAP - 1)] == key)
    }

    /// The pairs that are not tombstones, in ascending order.
    pub fn pairs(&self) -> impl DoubleEndedIterator<Item = (N, N)> + '_ {
        let slots = self.keys[..self.used]
            .iter()
            .zip(&self.quantities[..self.used]);
        slots
            .filter(|(_, quantity)| **quantity != N::ZERO)
            .map(|(key, quantity)| (*key, *quantity))
    }

    /// The key of the pair at an index, counted from the greatest key down.
    #[inline]
    pub fn nth_best(&self, index: usize) -> Option<N> {
        if index >= self.live {
            return None;
        }
        if self.live == self.used {
            return Some(self.keys[self.used - 1 - index]);
        }
        self.pairs().rev().nth(index).map(|(key, _)| key)
    }

    /// Copy the best `count` pairs, of which there must be so many, to the ends of two arrays of one length, in
    /// ascending order and without the tombstones between them.
    #[inline(always)]
    pub fn gather(&self, count: usize, keys: &mut [N], quantities: &mut [N]) {
        let mut start = keys.len();
        let last = start - count;
        let slots = self.keys[..self.used]
            .iter()
            .zip(&self.quantities[..self.used]);
        for (key, quantity) in slots.rev() {
            if start == last {
                return;
            }
            (keys[start - 1], quantities[start - 1]) = (*key, *quantity);
            start -= usize::from(*quantity != N::ZERO);
        }
    }

    /// Write the slot that holds a key; the quantity before.
    #[inline(always)]
    pub fn write(&mut self, slot: usize, quantity: N) -> N {
        let before = std::mem::replace(&mut self.quantities[slot & (CAP - 1)], quantity);
        self.live = self.live + usize::from(quantity != N::ZERO) - usize::from(before != N::ZERO);
        before
    }

    /// Add a key that no slot holds; false, and nothing done, when there is no slot for it.
    #[inline(always)]
    pub fn insert(&mut self, vectors: Option<Avx2>, slot: usize, key: N, quantity: N) -> bool {
        let pair = (key, quantity);
        let near = match N::insert_near(vectors, &mut self.keys, &mut self.quantities, slot, pair) {
            Some(near) => near,
            None => self.insert_near(slot, key, quantity),
        };
        let Some(room) = near else {
            return self.insert_far(slot, key, quantity);
        };
        // No other run ends among the slots that were written.
        const { assert!(vectors::NEAR <= Self::RUN) }
        self.update_top(slot / Self::RUN);
        self.used = self.used.max(room + 1);
        self.live += 1;
        true
    }

    /// The same where no tombstone is near: move all that is behind.
    #[inline(never)]
    fn insert_far(&mut self, slot: usize, key: N, quantity: N) -> bool {
        if self.used == CAP {
            return false;
        }
        self.keys.copy_within(slot..self.used, slot + 1);
        self.quantities.copy_within(slot..self.used, slot + 1);
        (self.keys[slot], self.quantities[slot]) = (key, quantity);
        self.update_tops();
        self.used += 1;
        self.live += 1;
        true
    }

    #[inline(always)]
    fn update_top(&mut self, run: usize) {
        self.tops[run] = self.keys[run * Self::RUN + Self::RUN - 1];
    }

    #[inline(always)]
    fn update_tops(&mut self) {
        (0..RUNS).for_each(|run| self.update_top(run));
    }

    /// Move the slots up to the nearest tombstone or unused slot by one, and write the first; the slot
    /// that was taken, None where none is near.
    ///
    /// How far that is cannot be guessed, so all slots nearby are written, without a branch.
    #[inline(always)]
    fn insert_near(&mut self, slot: usize, key: N, quantity: N) -> Option<usize> {
        let keys: &mut [N; NEAR] = self.keys.get_mut(slot..slot + NEAR)?.try_into().ok()?;
        let quantities = self.quantities.get_mut(slot..slot + NEAR)?;
        let quantities: &mut [N; NEAR] = quantities.try_into().ok()?;
        let free = (0..NEAR).fold(0u32, |free, near| {
            free | u32::from(quantities[near] == N::ZERO) << near
        });
        if free == 0 {
            return None;
        }
        let taken = free.trailing_zeros() as usize;
        for near in (1..NEAR).rev() {
            let from = if near <= taken { near - 1 } else { near };
            (keys[near], quantities[near]) = (keys[from], quantities[from]);
        }
        (keys[0], quantities[0]) = (key, quantity);
        Some(slot + taken)
    }

    /// Add a key greater than all; there must be an unused slot.
    pub fn push(&mut self, (key, quantity): (N, N)) {
        self.set_key(self.used, key);
        self.quantities[self.used] = quantity;
        self.used += 1;
        self.live += 1;
    }

    /// Sweep out the tombstones.
    pub fn sweep(&mut self) {
        let mut kept = 0;
        for slot in 0..self.used {
            let pair = (self.keys[slot], self.quantities[slot]);
            self.keys[kept] = pair.0;
            self.quantities[kept] = pair.1;
            kept += usize::from(pair.1 != N::ZERO);
        }
        self.forget_from(kept);
    }

    /// Sweep out the tombstones and the pairs from slot `from` on; the latter.
    pub fn split_off(&mut self, from: usize) -> Box<Self> {
        self.sweep();
        let mut rest = Self::boxed();
        for slot in from..self.used {
            rest.push((self.keys[slot], self.quantities[slot]));
        }
        self.forget_from(from);
        self.live = from;
        rest
    }

    fn forget_from(&mut self, from: usize) {
        self.keys[from..self.used].fill(N::MAX);
        self.quantities[from..self.used].fill(N::ZERO);
        self.update_tops();
        self.used = from;
    }

    pub fn drop_trailing_tombstones(&mut self) {
        while self.used > 0 && self.quantities[self.used - 1] == N::ZERO {
            self.used -= 1;
            self.set_key(self.used, N::MAX);
        }
    }

    #[inline(always)]
    fn set_key(&mut self, slot: usize, key: N) {
        self.keys[slot] = key;
        if slot % Self::RUN == Self::RUN - 1 {
            self.tops[slot / Self::RUN] = key;
        }
    }
}
