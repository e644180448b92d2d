//! Sorted pairs of key and quantity in chunks, greatest key last: the store below a ladder.
//!
//! Theory of operation. A chunk is two arrays of slots, keys and quantities, so that a search
//! touches keys only. A deleted pair leaves a tombstone: its key stays, its quantity is zero.
//! Exchanges use prices again and again (half of them within a second), so most updates of a book
//! find their slot and write one number, whether they change, delete or bring back a level. Tombstones
//! are reused by a neighbouring new key, and swept out when a chunk is full, merged, or at
//! the very end of the store, so that the best pair always is the last slot in use.
//!
//! `floors[i]` is at most every key of chunk `i` and greater than every key before it: a fence, not
//! the first key, so deleting never moves it; the fence of chunk 0 is never looked at. A change
//! moves at most one chunk's worth of memory, for any number of pairs.
//!
//! Messages come sorted (best first on spot, ascending on both sides on futures, recordings of 2021
//! to 2026), so their pairs are set a block at a time, greatest key first, in three passes: find all
//! slots, write those found, insert the others. The first two have no branch that depends on the
//! data, so the processor overlaps the searches instead of guessing wrong at each level; and no
//! insertion moves the slot of a smaller key. A block in any other order is set pair by pair, so
//! that the later entry of a key wins. Where the processor has vector instructions (`vectors`), slots are found and
//! new keys inserted by them; the result is the same. Measured against other layouts in docs/concepts/ladder.md.
//!
//! Not here: what a key means (price, or price negated: `ladder`).

mod chunk;
mod compact;

use std::hint::select_unpredictable;

use crate::mantissa::Mantissa;
use crate::prefetch;
use crate::vectors::Avx2;
use chunk::Chunk;

/// Slots of a chunk, a power of two.
pub const CHUNK: usize = 128;

/// Of so many chunks the fences are asked for before they are needed.
const FETCHED: usize = 64;

/// So many pairs are brought together in less memory than a chunk has, which takes time to prepare.
const FEW: usize = 24;

/// Pairs whose slots are found before the first of them is set.
const BLOCK: usize = 8;

/// So many pairs and fewer are set one after the other.
const MOST_ALONE: usize = 2;

/// A thin chunk looks for a neighbour to merge with once in so many deletes.
const LOOK_EVERY: usize = 8;

/// Fences that are compared with a key at once.
const FENCES: usize = 16;

/// Sorted pairs of key and quantity; no key twice, no quantity zero.
#[derive(Clone, Debug)]
pub struct Chunks<N, const CAP: usize = CHUNK> {
    floors: Vec<N>,
    /// The fences of the last chunks, without that of chunk 0; before them numbers below all keys.
    last_floors: [N; FENCES],
    chunks: Vec<Box<Chunk<N, CAP>>>,
    /// Pairs that are not tombstones.
    len: usize,
    /// Counts changes after which slots found before mean nothing.
    layout: usize,
    /// Counts messages, and says which chunks are looked at next for being thin together.
    compaction: compact::CompactionSchedule,
}

impl<N: Mantissa, const CAP: usize> Chunks<N, CAP> {
    /// With fewer pairs than this a chunk looks for a neighbour to merge with …
    const THIN: usize = CAP / 8 * 5;
    /// … and does so if both together have at most this.
    const MERGED: usize = CAP / 8 * 7;
    /// A full chunk with more pairs than this is split; sweeping it would not help for long.
    const SPLIT: usize = CAP / 16 * 15;
    /// How many pairs a chunk gets when a whole side is loaded.
    const LOADED: usize = CAP / 8 * 7;

    /// Without any pair.
    pub fn new() -> Self {
        assert!(CAP.is_power_of_two() && CAP >= 16);
        Chunks {
            floors: vec![N::ZERO],
            last_floors: [-N::MAX; FENCES],
            chunks: vec![Chunk::boxed()],
            len: 0,
            layout: 0,
            compaction: compact::CompactionSchedule::default(),
        }
    }

    /// From pairs in ascending order of distinct keys, none with quantity zero.
    pub fn from_ascending(pairs: impl Iterator<Item = (N, N)>) -> Self {
        let (floors, chunks) = Self::filled(pairs, Self::LOADED);
        let mut made = Chunks {
            len: chunks.iter().map(|chunk| chunk.live).sum(),
            floors,
            chunks,
            ..Chunks::new()
        };
        made.note_floors();
        made
    }

    /// After a change of the fences.
    fn note_floors(&mut self) {
        let known = self.floors[1..].iter().rev().copied();
        let known = known.chain(std::iter::repeat(-N::MAX));
        let places = self.last_floors.iter_mut().rev();
        places.zip(known).for_each(|(place, floor)| *place = floor);
    }

    /// Such pairs in chunks of `each`, one chunk at least, and their fences: the first keys, but for the
    /// first chunk, whose fence depends on the chunk before it.
    fn filled(
        pairs: impl Iterator<Item = (N, N)>,
        each: usize,
    ) -> (Vec<N>, Vec<Box<Chunk<N, CAP>>>) {
        let (mut floors, mut chunks) = (vec![N::ZERO], vec![Chunk::boxed()]);
        let mut chunk = 0;
        for pair in pairs {
            if chunks[chunk].used == each {
                floors.push(pair.0);
                chunks.push(Chunk::boxed());
                chunk += 1;
            }
            chunks[chunk].push(pair);
        }
        (floors, chunks)
    }

    /// How many pairs there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Prefetch the fences and where the chunks are (`prefetch`); of very long sides for those of the best pairs.
    #[inline]
    pub fn fetch_index(&self) {
        let first = self.floors.len().saturating_sub(FETCHED);
        prefetch::fetch(&self.floors[first..]);
        prefetch::fetch(&self.chunks[first..]);
    }

    /// Prefetch the heads of the chunks that own these keys.
    #[inline(always)]
    pub fn fetch_chunks(&self, keys: impl Iterator<Item = N>) {
        let mut asked = usize::MAX;
        for key in keys {
            if !self.is_owner(asked, key) {
                asked = self.owner(key);
                self.chunks[asked].fetch_head();
            }
        }
    }

    /// Prefetch the slots in which these keys are, or are going to be.
    #[inline(always)]
    pub fn fetch_slots(&self, keys: impl Iterator<Item = N>) {
        let mut asked = (usize::MAX, 0);
        for key in keys {
            let index = if self.is_owner(asked.0, key) {
                asked.0
            } else {
                self.owner(key)
            };
            let chunk = &self.chunks[index];
            let run = chunk.run(key);
            if (index, run) != asked {
                asked = (index, run);
                chunk.fetch_run(run);
            }
        }
    }

    /// Set the pairs of some things one after the other; how many quantities changed by that.
    #[inline(always)]
    pub fn set_all<T>(
        &mut self,
        vectors: Option<Avx2>,
        things: &[T],
        pair: impl Fn(&T) -> (N, N),
    ) -> usize {
        let search = Search {
            vectors,
            prefetching: prefetch::is_worthwhile(),
        };
        let mut changed = 0;
        let (blocks, rest) = things.as_chunks::<BLOCK>();
        for block in blocks {
            changed += self.set_some(search, block, &pair);
        }
        if rest.len() > MOST_ALONE {
            changed += self.set_some(search, rest, &pair);
        } else {
            for one in rest {
                let (key, quantity) = pair(one);
                changed += usize::from(self.set_one(search, key, quantity));
            }
        }
        self.drop_trailing_tombstones();
        if self.compaction.is_due() {
            self.compact_next();
        }
        changed
    }

    /// The same for at most `BLOCK` things.
    #[inline(always)]
    fn set_some<T>(&mut self, search: Search, things: &[T], pair: impl Fn(&T) -> (N, N)) -> usize {
        let (mut keys, mut quantities) = ([N::ZERO; BLOCK], [N::ZERO; BLOCK]);
        for (at, thing) in things.iter().enumerate() {
            (keys[at], quantities[at]) = pair(thing);
        }
        let count = things.len();
        if !are_sorted(&keys[..count], |one, next| one > next) {
            if !are_sorted(&keys[..count], |one, next| one < next) {
                return self.set_each(&keys[..count], &quantities[..count]);
            }
            keys[..count].reverse();
            quantities[..count].reverse();
        }
        self.set_block(search, &keys, &quantities, count)
    }

    #[cold]
    #[inline(never)]
    fn set_each(&mut self, keys: &[N], quantities: &[N]) -> usize {
        let search = Search {
            vectors: None,
            prefetching: false,
        };
        let pairs = keys.iter().zip(quantities);
        pairs
            .filter(|(key, quantity)| self.set_one(search, **key, **quantity))
            .count()
    }

    /// Set the first `count` pairs, whose keys strictly descend.
    #[inline(always)]
    fn set_block(
        &mut self,
        search: Search,
        keys: &[N; BLOCK],
        quantities: &[N; BLOCK],
        count: usize,
    ) -> usize {
        let (mut indexes, mut slots) = ([0; BLOCK], [0; BLOCK]);
        let mut held = [N::ZERO; BLOCK];
        let (mut found, mut thin) = (0u32, 0u32);
        self.find_owners(search.vectors, &keys[..count], &mut indexes);
        for at in 0..count {
            slots[at] = search.slot(&self.chunks[indexes[at]], keys[at]);
        }
        for at in 0..count {
            let key = keys[at];
            let chunk = &mut *self.chunks[indexes[at]];
            let slot = slots[at];
            let is_held = chunk.holds(slot, key);
            let quantity = &mut chunk.quantities[slot & (CAP - 1)];
            held[at] = *quantity;
            *quantity = select_unpredictable(is_held, quantities[at], held[at]);
            let is_left = *quantity != N::ZERO;
            chunk.live = chunk.live + usize::from(is_left) - usize::from(held[at] != N::ZERO);
            found |= u32::from(is_held) << at;
            thin |=
                u32::from((chunk.live < Self::THIN) & chunk.live.is_multiple_of(LOOK_EVERY)) << at;
        }
        let zeros = [N::ZERO; BLOCK];
        let set = !N::equal(search.vectors, quantities, &zeros) & ((1 << count) - 1);
        let before = found & !N::equal(search.vectors, &held, &zeros);
        let changed = found & !N::equal(search.vectors, &held, quantities);
        let new = set & !found;
        self.len = self.len + (found & set).count_ones() as usize - before.count_ones() as usize;

        let layout = self.layout;
        for at in bits(thin & before & !set) {
            self.thin_out(indexes[at]);
        }
        for at in bits(new) {
            if self.layout == layout {
                self.insert(
                    search.vectors,
                    indexes[at],
                    slots[at],
                    keys[at],
                    quantities[at],
                );
            } else {
                self.set_moved(keys[at], quantities[at]);
            }
        }
        (changed.count_ones() + new.count_ones()) as usize
    }

    /// The chunk that owns a key.
    #[inline(always)]
    fn owner_by(&self, vectors: Option<Avx2>, key: N) -> usize {
        match N::count_above(vectors, &self.last_floors, key) {
            Some(above) if above < FENCES => self.floors.len() - 1 - above,
            _ => self.owner(key),
        }
    }

    /// The chunks that own keys, which descend.
    #[inline(always)]
    fn find_owners(&self, vectors: Option<Avx2>, keys: &[N], indexes: &mut [usize; BLOCK]) {
        let last = self.floors.len() - 1;
        let mut at = 0;
        while at < keys.len() {
            match N::count_above(vectors, &self.last_floors, keys[at]) {
                Some(above) if above < FENCES => indexes[at] = last - above,
                _ => break, // the keys that follow are smaller still
            }
            at += 1;
        }
        // The next smaller key most often belongs to the same chunk or to one of the next two.
        let mut index = last;
        while at < keys.len() {
            if index >= 2 {
                let is_below = |floor: N| usize::from(keys[at] < floor);
                index -= is_below(self.floors[index]) + is_below(self.floors[index - 1]);
            }
            if index > 0 && keys[at] < self.floors[index] {
                index = self.owner(keys[at]);
            }
            indexes[at] = index;
            at += 1;
        }
    }

    /// Set a pair of a block after slots have moved.
    #[cold]
    #[inline(never)]
    fn set_moved(&mut self, key: N, quantity: N) {
        self.set_each(&[key], &[quantity]);
    }

    #[inline(always)]
    fn set_one(&mut self, search: Search, key: N, quantity: N) -> bool {
        let index = self.owner_by(search.vectors, key);
        let slot = search.slot(&self.chunks[index], key);
        let chunk = &mut *self.chunks[index];
        if chunk.holds(slot, key) {
            let before = chunk.write(slot, quantity);
            let (is, was) = (quantity != N::ZERO, before != N::ZERO);
            self.len = self.len + usize::from(is) - usize::from(was);
            if was && !is {
                self.thin_out(index);
            }
            before != quantity
        } else if quantity != N::ZERO {
            self.insert(search.vectors, index, slot, key, quantity);
            true
        } else {
            false
        }
    }

    /// What is paired with a key; zero for nothing.
    pub fn quantity(&self, key: N) -> N {
        let (index, slot) = self.find(key);
        let chunk = &self.chunks[index];
        if chunk.holds(slot, key) {
            chunk.quantities[slot]
        } else {
            N::ZERO
        }
    }

    /// The chunk that owns a key (the last one whose floor is at most the key, else the first)
    /// and the key's slot in it.
    #[inline(always)]
    fn find(&self, key: N) -> (usize, usize) {
        let index = self.owner(key);
        (index, self.chunks[index].slot(key))
    }

    #[inline(always)]
    fn owner(&self, key: N) -> usize {
        self.floors[1..].partition_point(|floor| *floor <= key)
    }

    /// Whether that chunk owns a key: most often it does, after its neighbour. No chunk: no.
    #[inline(always)]
    fn is_owner(&self, index: usize, key: N) -> bool {
        let from = self.floors.get(index);
        let to = self.floors.get(index.wrapping_add(1));
        from.is_some_and(|floor| index == 0 || *floor <= key) && to.is_none_or(|floor| key < *floor)
    }

    #[inline(always)]
    fn insert(&mut self, vectors: Option<Avx2>, index: usize, slot: usize, key: N, quantity: N) {
        let chunk = &mut *self.chunks[index];
        if !chunk.insert(vectors, slot, key, quantity) {
            let (index, slot) = self.make_room(index, key);
            self.chunks[index].insert(None, slot, key, quantity);
        }
        self.len += 1;
    }

    /// Make room for a key in a full chunk: sweep out the tombstones, and split what is left if
    /// that is nearly everything. Where the key belongs now.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, index: usize, key: N) -> (usize, usize) {
        self.layout += 1;
        let chunk = &mut *self.chunks[index];
        if chunk.live <= Self::SPLIT {
            chunk.sweep();
            return (index, chunk.slot(key));
        }
        let beyond_all = index + 1 == self.floors.len() && chunk.keys[CAP - 1] < key;
        let (upper, floor) = if beyond_all {
            (Chunk::boxed(), key) // new best prices, one after the other: leave full what is full
        } else {
            let upper = chunk.split_off(CAP / 2);
            let floor = upper.keys[0];
            (upper, floor)
        };
        self.floors.insert(index + 1, floor);
        self.chunks.insert(index + 1, upper);
        self.note_floors();
        self.find(key)
    }

    /// A pair of a chunk was deleted: drop the chunk if it was the last one, merge the chunk if
    /// it is thin and a neighbour is thin enough.
    #[inline]
    fn thin_out(&mut self, index: usize) {
        let (live, count) = match self.chunks.get(index) {
            Some(chunk) => (chunk.live, self.chunks.len()),
            None => return, // merged since it was picked
        };
        if live >= Self::THIN || count == 1 {
            return;
        }
        let fits = |other: usize| self.chunks[other].live + live <= Self::MERGED;
        if live == 0 {
            self.take_out(index);
        } else if index > 0 && fits(index - 1) {
            self.merge_down(index);
        } else if index + 1 < count && fits(index + 1) {
            self.merge_down(index + 1);
        }
    }

    #[cold]
    #[inline(never)]
    fn merge_down(&mut self, index: usize) {
        let upper = self.take_out(index);
        let lower = &mut *self.chunks[index - 1];
        lower.sweep();
        upper.pairs().for_each(|pair| lower.push(pair));
    }

    #[cold]
    #[inline(never)]
    fn take_out(&mut self, index: usize) -> Box<Chunk<N, CAP>> {
        self.layout += 1;
        self.floors.remove(index);
        self.note_floors();
        self.chunks.remove(index)
    }

    /// Keep the last slot in use of the last chunk a pair, if there is any pair: a chunk that lost its
    /// last pair has been taken out.
    #[inline]
    fn drop_trailing_tombstones(&mut self) {
        let last = self.chunks.len() - 1;
        self.chunks[last].drop_trailing_tombstones();
        debug_assert!(last == 0 || self.chunks[last].used > 0);
    }

    /// The pair with the greatest key.
    #[inline]
    pub fn best(&self) -> Option<(N, N)> {
        let chunk = self.chunks.last()?;
        let last = chunk.used.checked_sub(1)?;
        Some((chunk.keys[last], chunk.quantities[last]))
    }

    /// All pairs from the greatest key down.
    pub fn iter(&self) -> impl Iterator<Item = (N, N)> + '_ {
        self.chunks
            .iter()
            .rev()
            .flat_map(|chunk| chunk.pairs().rev())
    }

    /// The chunks that hold the pairs from index `start` up to `stop` (exclusive), counted from the greatest key down;
    /// how many pairs of each to leave out first, and how many follow.
    #[inline(always)]
    fn parts(
        &self,
        start: usize,
        stop: usize,
    ) -> impl Iterator<Item = (&Chunk<N, CAP>, usize, usize)> {
        let (mut skip, mut left) = (start, stop.min(self.len).saturating_sub(start));
        let chunks = self.chunks.iter().rev().map(|chunk| &**chunk);
        chunks.map_while(move |chunk| {
            if left == 0 {
                return None;
            }
            let left_out = skip.min(chunk.live);
            let taken = left.min(chunk.live - left_out);
            skip -= left_out;
            left -= taken;
            Some((chunk, left_out, taken))
        })
    }

    /// Append what is made of the pairs from index `start` up to `stop` (exclusive), counted from the greatest key
    /// down.
    pub fn copy_in<T>(&self, start: usize, stop: usize, to: &mut Vec<T>, make: impl Fn(N, N) -> T) {
        for (chunk, skip, taken) in self.parts(start, stop) {
            if chunk.live == chunk.used {
                let end = chunk.used - skip;
                let slots = end - taken..end;
                let pairs = chunk.keys[slots.clone()]
                    .iter()
                    .zip(&chunk.quantities[slots]);
                to.extend(pairs.rev().map(|(key, quantity)| make(*key, *quantity)));
            } else {
                // By `for_each`: a quarter fewer instructions than a loop, or than `extend`.
                let pairs = chunk.pairs().rev().skip(skip).take(taken);
                pairs.for_each(|(key, quantity)| to.push(make(key, quantity)));
            }
        }
    }

    /// Call with the pairs up to index `stop` (exclusive), counted from the greatest key down, in pieces: neighbouring
    /// keys and their quantities, ascending within a piece.
    #[inline(always)]
    pub fn for_each_piece(&self, stop: usize, mut call: impl FnMut(&[N], &[N])) {
        for (chunk, _, taken) in self.parts(0, stop) {
            if chunk.live == chunk.used {
                let slots = chunk.used - taken..chunk.used;
                call(&chunk.keys[slots.clone()], &chunk.quantities[slots]);
            } else if taken <= FEW {
                let (mut keys, mut quantities) = ([N::ZERO; FEW], [N::ZERO; FEW]);
                chunk.gather(taken, &mut keys, &mut quantities);
                call(&keys[FEW - taken..], &quantities[FEW - taken..]);
            } else {
                let (mut keys, mut quantities) = ([N::ZERO; CAP], [N::ZERO; CAP]);
                chunk.gather(taken, &mut keys, &mut quantities);
                call(&keys[CAP - taken..], &quantities[CAP - taken..]);
            }
        }
    }

    /// Call with the pairs from index `start` up to `stop` (exclusive), counted from the greatest
    /// key down.
    pub fn for_each_in(&self, start: usize, stop: usize, mut call: impl FnMut(N, N)) {
        for (chunk, skip, taken) in self.parts(start, stop) {
            let pairs = chunk.pairs().rev().skip(skip).take(taken);
            pairs.for_each(|(key, quantity)| call(key, quantity));
        }
    }

    /// How many keys are at least this one.
    pub fn count_from(&self, key: N) -> usize {
        let index = self.owner(key);
        let above: usize = self.chunks[index + 1..]
            .iter()
            .map(|chunk| chunk.live)
            .sum();
        above
            + self.chunks[index]
                .pairs()
                .rev()
                .take_while(|pair| pair.0 >= key)
                .count()
    }

    /// Whether at least `count` keys are at least this one: looks at no more chunks than it must.
    pub fn has_from(&self, key: N, count: usize) -> bool {
        let (mut left, mut index) = (count, self.chunks.len() - 1);
        while left != 0 && index != 0 && self.floors[index] >= key {
            left = left.saturating_sub(self.chunks[index].live);
            index -= 1;
        }
        let has = |place: usize| {
            let held = self.chunks[index].nth_best(place);
            held.is_some_and(|held| held >= key)
        };
        left == 0 || has(left - 1)
    }

    /// The same pairs in another form that keeps their order; None where one does not fit it.
    pub fn map<M: Mantissa>(
        &self,
        form: impl Fn(N, N) -> Option<(M, M)>,
    ) -> Option<Chunks<M, CAP>> {
        let pairs = self.chunks.iter().flat_map(|chunk| chunk.pairs());
        let mut all_fit = true;
        let mapped = pairs.map_while(|(key, quantity)| {
            let pair = form(key, quantity);
            all_fit &= pair.is_some();
            pair
        });
        let chunks = Chunks::from_ascending(mapped);
        all_fit.then_some(chunks)
    }

    /// Bytes of memory held beside this value itself, without the allocator's own.
    pub fn memory_bytes(&self) -> usize {
        let fences = size_of::<N>() * self.floors.capacity();
        let boxes = size_of::<Box<Chunk<N, CAP>>>() * self.chunks.capacity();
        fences + boxes + self.chunks.len() * size_of::<Chunk<N, CAP>>()
    }
}

/// Whether all neighbours are in this order, looked at without a branch.
#[inline(always)]
fn are_sorted<N: Mantissa>(keys: &[N], in_order: impl Fn(N, N) -> bool) -> bool {
    keys.windows(2)
        .fold(true, |sorted, pair| sorted & in_order(pair[0], pair[1]))
}

/// The numbers of the bits that are set, the lowest first.
#[inline(always)]
fn bits(mut set: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = set.trailing_zeros() as usize;
        (set != 0).then(|| {
            set &= set - 1;
            at & (BLOCK - 1)
        })
    })
}

/// How slots are found.
#[derive(Clone, Copy)]
struct Search {
    vectors: Option<Avx2>,
    /// Only what `fetch_slots` asks for is searched.
    prefetching: bool,
}

impl Search {
    #[inline(always)]
    fn slot<N: Mantissa, const CAP: usize>(self, chunk: &Chunk<N, CAP>, key: N) -> usize {
        match chunk.slot_by(self.vectors, key) {
            Some(slot) => slot,
            None if self.prefetching => chunk.slot_in(chunk.run(key), key),
            None => chunk.slot(key),
        }
    }
}
