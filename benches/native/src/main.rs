//! Runs one layer of the native book and prints the number of operations: `depthcache-instructions LAYER`.
//!
//! Without an argument it lists the layers. Valgrind counts only inside `measured`, where
//! `benches/instructions.py` switches it on.

use std::hint::black_box;

use depthcache_book::codec::json;
use depthcache_book::ladder::Ladder;
use depthcache_book::market::sequence::Continuity;
use depthcache_book::message::{DepthSnapshot, DepthUpdate};
use depthcache_book::offline::OfflineBook;
use depthcache_book::query::floats::Floats;
use depthcache_book::query::{Reading, Side};
use depthcache_instructions::{Shape, diffs, snapshot};

const FRAMES: u64 = 200;
const READS: usize = 200;
const LAYERS: [&str; 12] = [
    "scan spot",
    "scan futures",
    "scan small",
    "apply 2,000",
    "apply 30,000",
    "frame 2,000",
    "frame 30,000",
    "best",
    "freeze 20",
    "top 20",
    "top 1,000",
    "top 1,000 as floats",
];

/// The part that valgrind counts.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

fn main() {
    match std::env::args().nth(1) {
        Some(layer) => println!("{}", run(&layer)),
        None => LAYERS.iter().for_each(|layer| println!("{layer}")),
    }
}

/// The number of operations done.
fn run(layer: &str) -> u64 {
    match layer {
        "scan spot" => scanned(Shape::Spot, 23),
        "scan futures" => scanned(Shape::Futures, 23),
        "scan small" => scanned(Shape::Spot, 1),
        "apply 2,000" => applied(2_000),
        "apply 30,000" => applied(30_000),
        "frame 2,000" => framed(2_000),
        "frame 30,000" => framed(30_000),
        "best" => read(|book| {
            black_box(book.cell().read().best());
        }),
        "freeze 20" => read(|book| drop(black_box(book.cell().read().freeze(20)))),
        "top 20" => read(|book| drop(black_box(book.cell().read().levels(Side::Bids, 0, 20)))),
        "top 1,000" => {
            read(|book| drop(black_box(book.cell().read().levels(Side::Bids, 0, 1_000))))
        }
        "top 1,000 as floats" => read(|book| {
            let mut rows = Vec::with_capacity(1_000);
            let mut to = Floats::Rows(&mut rows);
            book.cell().read().append_floats(Side::Bids, 1_000, &mut to);
            drop(black_box(rows));
        }),
        _ => panic!("no layer {layer}"),
    }
}

fn scanned(shape: Shape, levels_a_side: usize) -> u64 {
    let frames = diffs(shape, FRAMES, 2_000, levels_a_side);
    let mut update = DepthUpdate::default();
    measured(&mut || {
        for frame in &frames {
            black_box(json::frame(frame, &mut update)).expect("a good frame");
        }
    });
    FRAMES
}

fn applied(levels: u64) -> u64 {
    let mut start = DepthSnapshot::default();
    json::snapshot(&snapshot(levels), &mut start).expect("a good snapshot");
    let mut bids = Ladder::from_snapshot(Side::Bids, &start.bids, None);
    let mut asks = Ladder::from_snapshot(Side::Asks, &start.asks, None);
    let updates: Vec<DepthUpdate> = diffs(Shape::Spot, FRAMES, levels, 23)
        .iter()
        .map(|frame| {
            let mut update = DepthUpdate::default();
            json::frame(frame, &mut update).expect("a good frame");
            update
        })
        .collect();
    measured(&mut || {
        for update in &updates {
            black_box(bids.apply(&update.bids) + asks.apply(&update.asks));
        }
    });
    FRAMES
}

fn book(levels: u64) -> OfflineBook {
    let book = OfflineBook::new("x", None, Continuity::Contiguous, 1 << 20);
    book.load_snapshot(&snapshot(levels), None, None)
        .expect("a good snapshot");
    book
}

fn framed(levels: u64) -> u64 {
    let (book, frames) = (book(levels), diffs(Shape::Spot, FRAMES, levels, 23));
    measured(&mut || {
        for frame in &frames {
            black_box(book.apply(frame)).expect("a good frame");
        }
    });
    FRAMES
}

/// Reads of a book with a history of updates.
fn read(look: impl Fn(&OfflineBook)) -> u64 {
    let book = book(2_000);
    for frame in diffs(Shape::Spot, FRAMES, 2_000, 23) {
        book.apply(&frame).expect("a good frame");
    }
    measured(&mut || (0..READS).for_each(|_| look(&book)));
    READS as u64
}
