//! The rules of a book, one file for each of its parts. One program, so that it is linked once.
//!
//! The specification is `src/depthcache/reference`; the tests in `tests/books` and `tests/markets`
//! say the same through Python. `docs/concepts/mutants.md` lists the faults that these tests are known to find.

#[path = "../support/builders.rs"]
#[allow(dead_code)]
mod builders;

mod crossing;
mod doubt;
mod feeds;
mod installing;
mod range;
mod reading;
mod refresh;
mod sequence;
mod states;
mod tapping;
mod times;
