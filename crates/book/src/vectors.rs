//! Vector instructions, chosen while the program runs: AVX2 and what every processor with it has, or none.
//!
//! A value of `Avx2` is the proof that the processor has the instructions, so everything that takes one is safe to
//! call. Memory is accessed through references to arrays of fixed size only, never through a pointer into a message
//! or a chunk. Results are those of the portable code, which is what other processors run: tests compare the two.
//! Measured in docs/concepts/ladder.md.

#[cfg_attr(target_arch = "x86_64", path = "vectors/x86_64.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "vectors/none.rs")]
mod processor;

pub use processor::{Avx2, Form, Found, use_portable};

/// Work that is compiled for the vector instructions: `Avx2::perform`.
pub trait Work {
    /// What comes of it.
    type Output;

    /// Do it. Must be `inline(always)`, or it is compiled without the instructions.
    fn run(self, vectors: Avx2) -> Self::Output;
}

/// Where the price of the first level begins in a window of `Avx2::level`.
pub const AT: usize = 16;

/// The last byte behind `AT` at which the price of another level may begin: the first one is at most 33 long.
pub const LAST_START: usize = 38;

/// Bytes of a window: 16 before the first price, two levels of the longest form, and the eight bytes behind.
pub const WINDOW: usize = 96;

/// The most decimals of a form.
pub const MOST_PLACES: u8 = 12;

/// Slots in which a new price is inserted by vector instructions.
pub const NEAR: usize = 16;

/// Below 2^52 an integer is the fraction of a float between 2^52 and 2^53.
pub const SMALL: u64 = 1 << 52;

/// The float of `SMALL`.
pub const BASE: f64 = SMALL as f64;

/// A power of ten, and the float nearest to its reciprocal.
#[derive(Clone, Copy, Debug)]
pub struct Power {
    /// The power.
    pub power: f64,
    /// One by the power.
    pub reciprocal: f64,
}
