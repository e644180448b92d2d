//! How many instructions a frame costs: scanned alone, and applied to a book.

use std::hint::black_box;

use depthcache_book::message::DepthUpdate;
use depthcache_book::offline::OfflineBook;
use depthcache_book::scan;
use depthcache_book::sequence::Continuity;
use depthcache_instructions::{diffs, snapshot};
use gungraun::{library_benchmark, library_benchmark_group, main};

const FRAMES: u64 = 200;

fn book(levels: u64) -> (OfflineBook, Vec<Vec<u8>>) {
    let book = OfflineBook::new("x", None, Continuity::Contiguous, 1 << 20);
    book.load_snapshot(&snapshot(levels), None)
        .expect("a good snapshot");
    (book, diffs(FRAMES, levels))
}

#[library_benchmark]
#[bench::two_hundred_frames(diffs(FRAMES, 2_000))]
fn scanned(frames: Vec<Vec<u8>>) -> DepthUpdate {
    let mut update = DepthUpdate::default();
    for frame in &frames {
        black_box(scan::frame(frame, &mut update)).expect("a good frame");
    }
    update
}

#[library_benchmark]
#[bench::to_2_000_levels_a_side(args = (2_000), setup = book)]
#[bench::to_30_000_levels_a_side(args = (30_000), setup = book)]
fn applied((book, frames): (OfflineBook, Vec<Vec<u8>>)) -> OfflineBook {
    for frame in &frames {
        black_box(book.apply(frame)).expect("a good frame");
    }
    book
}

library_benchmark_group!(name = frames, benchmarks = [scanned, applied]);
main!(library_benchmark_groups = frames);
