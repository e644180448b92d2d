//! What the levels of a side take of memory, counted by the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use depthcache_book::ladder::Ladder;
use depthcache_book::market::sequence::Continuity;
use depthcache_book::message::{Level, SideLevels};
use depthcache_book::offline::OfflineBook;
use depthcache_book::query::{Reading, Side};

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, with a count of what each test holds.
struct Counting;

// SAFETY: every call is handed on as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get().wrapping_add(layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get().wrapping_sub(layout.size()));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A message that sets each of these prices to one quantity.
fn set_to(quantity: i64, prices: impl Iterator<Item = i64>) -> SideLevels {
    SideLevels {
        narrow: prices.map(|price| Level { price, quantity }).collect(),
        ..SideLevels::default()
    }
}

/// A side and the bytes that were allocated for it.
fn counted(make: impl FnOnce() -> Ladder) -> (Ladder, usize) {
    let before = HELD.get();
    let ladder = make();
    (ladder, HELD.get() - before)
}

#[test]
fn the_bytes_of_a_side_are_those_that_were_allocated_for_it() {
    let empty = Ladder::new(Side::Bids).memory_bytes();
    let (_, least) = counted(|| Ladder::new(Side::Bids));
    for count in [1, 100, 113, 5_000, 20_000] {
        let levels = set_to(1, (1..=count).rev());
        let (ladder, held) = counted(|| Ladder::from_snapshot(Side::Bids, &levels, Some(1)));
        assert_eq!(
            ladder.memory_bytes() - empty,
            held - least,
            "{count} levels"
        );
        let wide = SideLevels {
            wide: vec![Level {
                price: 1,
                quantity: i128::MAX / 2,
            }],
            ..SideLevels::default()
        };
        let before = HELD.get();
        let mut widened = ladder.clone();
        widened.apply(&wide);
        let held = HELD.get() - before;
        assert_eq!(
            widened.memory_bytes() - empty,
            held - least,
            "{count} levels"
        );
    }
}

#[test]
fn neighbours_that_fit_one_chunk_become_one_whichever_is_thinned_last() {
    // Two chunks of 112 levels; 56 of each are left.
    for first in [1..=112, 113..=224] {
        let mut ladder = Ladder::from_snapshot(Side::Bids, &set_to(1, (1..=224).rev()), Some(1));
        let two = ladder.memory_bytes();
        let every_other =
            |prices: std::ops::RangeInclusive<i64>| prices.filter(|price| price % 2 == 0);
        for price in every_other(first.clone()) {
            ladder.apply(&set_to(0, std::iter::once(price)));
        }
        assert_eq!(ladder.memory_bytes(), two);
        for price in every_other(1..=224).filter(|price| !first.contains(price)) {
            ladder.apply(&set_to(0, std::iter::once(price)));
        }
        assert_eq!(ladder.len(), 112);
        assert!(ladder.memory_bytes() < two * 3 / 5);
    }
}

#[test]
fn a_book_that_moves_away_and_comes_back_gives_its_chunks_back() {
    let mut ladder = Ladder::from_snapshot(Side::Asks, &SideLevels::default(), Some(1));
    let mut one = |price: i64, quantity: i64| {
        let narrow = vec![Level { price, quantity }];
        ladder.apply(&SideLevels {
            narrow,
            ..SideLevels::default()
        });
        ladder.memory_bytes()
    };
    let empty = one(1, 1);
    let full = (1..=30_000).map(|price| one(price, 1)).max();
    let full = full.unwrap_or(0);
    assert!(full > 100 * empty);
    let left = (2..=30_000)
        .rev()
        .map(|price| one(price, 0))
        .min()
        .unwrap_or(full);
    assert!(
        left < full / 40,
        "{left} bytes for one level, {full} for 30,000"
    );
}

#[test]
fn a_book_that_thins_out_everywhere_gives_most_of_its_chunks_back() {
    let prices = 30_000;
    for (side, together) in [(Side::Bids, 1), (Side::Asks, 1), (Side::Bids, 50)] {
        let mut ladder = Ladder::from_snapshot(side, &set_to(1, (1..=prices).rev()), Some(1));
        let full = ladder.memory_bytes();
        // All but each 20th, in an order that jumps through the whole side.
        let jumping = (0..prices).map(|number| number * 7_919 % prices + 1);
        let gone: Vec<_> = jumping.filter(|price| price % 20 != 0).collect();
        for prices in gone.chunks(together) {
            let changed = ladder.apply(&set_to(0, prices.iter().copied()));
            assert_eq!(changed, prices.len());
        }
        assert_eq!(ladder.len(), 1_500);
        let left = ladder.memory_bytes();
        assert!(
            left < full / 8,
            "{left} bytes for 1,500 levels, {full} for 30,000"
        );
    }
}

#[test]
fn best_prices_that_move_on_one_by_one_fill_their_chunks() {
    for side in [Side::Bids, Side::Asks] {
        let mut ladder = Ladder::from_snapshot(side, &SideLevels::default(), Some(1));
        let better = |number: i64| match side {
            Side::Bids => number,
            Side::Asks => 20_001 - number,
        };
        for number in 1..=20_000 {
            ladder.apply(&set_to(1, std::iter::once(better(number))));
        }
        let all = set_to(1, (1..=20_000).rev());
        let loaded = Ladder::from_snapshot(side, &all, Some(1)).memory_bytes();
        let grown = ladder.memory_bytes();
        assert!(
            grown < loaded + loaded / 10,
            "{grown} bytes grown, {loaded} loaded"
        );
    }
}

#[test]
fn a_level_of_a_loaded_side_takes_less_than_twenty_bytes() {
    for side in [Side::Bids, Side::Asks] {
        let best_first = |number| match side {
            Side::Bids => 20_001 - number,
            Side::Asks => number,
        };
        let levels = set_to(1, (1..=20_000).map(best_first));
        let bytes = Ladder::from_snapshot(side, &levels, Some(1)).memory_bytes();
        assert!(bytes < 20 * 20_000, "{bytes} bytes for 20,000 levels");
    }
}

#[test]
fn a_side_that_lives_on_takes_at_most_1_6_times_what_its_levels_need() {
    for (side, prices) in [(Side::Bids, 3_000), (Side::Asks, 60_000)] {
        let half = set_to(1, (1..=prices).rev().filter(|price| price % 2 == 0));
        let mut ladder = Ladder::from_snapshot(side, &half, Some(1));
        // Prices come and go everywhere, in an order that jumps; about half of them are there.
        for round in 0..4_000 {
            let any = (0..20).map(|number| (round * 20 + number) * 7_919 % prices + 1);
            ladder.apply(&set_to((round / 16 + side as i64) % 2, any));
        }
        let needed = 16 * ladder.len();
        assert!(ladder.len() > 1_000, "{} levels", ladder.len());
        let held = ladder.memory_bytes();
        assert!(
            held * 10 <= needed * 16,
            "{held} bytes held, {needed} needed"
        );
    }
}

#[test]
fn a_side_that_thins_out_evenly_is_packed_by_the_messages_that_follow_again_and_again() {
    let prices = 5_000;
    let mut ladder = Ladder::from_snapshot(Side::Bids, &SideLevels::default(), Some(1));
    for _ in 0..3 {
        ladder.apply(&set_to(0, 1..=prices));
        for price in 1..=prices {
            ladder.apply(&set_to(1, std::iter::once(price)));
        }
        ladder.apply(&set_to(0, (1..=prices).filter(|price| price % 5 < 2)));
        let (thin, needed) = (ladder.memory_bytes(), 16 * ladder.len());
        assert!(
            thin * 10 > needed * 16,
            "{thin} bytes held, {needed} needed"
        );
        for _ in 0..16 * 100 {
            ladder.apply(&set_to(1, std::iter::once(prices)));
        }
        let packed = ladder.memory_bytes();
        assert!(
            packed * 10 < needed * 14,
            "{packed} bytes held, {needed} needed"
        );
    }
}

#[test]
fn the_bytes_of_diffs_that_wait_for_a_snapshot_are_those_that_were_allocated_for_them() {
    let frame = |id: u64| {
        let ids = format!(r#"{{"e":"depthUpdate","E":1,"s":"X","U":{id},"u":{id},"#);
        format!(r#"{ids}"b":[["1.00","1"]],"a":[["2.00","1"]]}}"#).into_bytes()
    };
    let frames: Vec<_> = (1..=500).map(frame).collect();
    let book = OfflineBook::new("x", None, Continuity::Contiguous, 1 << 20);
    let bytes = || book.cell().read().memory_bytes();
    // What is not of the buffer is made by the first of them.
    book.apply(&frames[0]).expect("a good frame");
    let before = (bytes(), HELD.get());
    for frame in &frames[1..] {
        book.apply(frame).expect("a good frame");
    }
    let grown = (bytes() - before.0, HELD.get() - before.1);
    assert_eq!(grown.0, grown.1);
    assert!(grown.0 > 400 * frames[0].len());
}
