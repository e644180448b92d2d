//! Prefetching: with hundreds of books the levels of the next one are seldom in the processor's caches, and the
//! cost is cache misses. Code that knows early what it will need requests it here, many cache lines at once, and
//! does something else meanwhile. With few books everything is cached, and requests only cost: `is_worthwhile`.
//!
//! `unsafe` for the prefetch instruction of the processor alone. A request changes nothing but
//! time. On other processors than x86-64 nothing is requested: it could not be measured there.
//! Measured in docs/concepts/ladder.md.

use std::sync::atomic::{AtomicUsize, Ordering};

/// From so many markets of this process on, their memory is taken to be uncached: what 50 of them touch between two
/// messages of one still fits half a megabyte of second-level cache.
const MANY_MARKETS: usize = 64;

/// Bytes of a cache line.
const CACHE_LINE: usize = 64;

static MARKETS: AtomicUsize = AtomicUsize::new(0);

/// One market of this process, as long as it lives.
#[derive(Debug)]
pub struct CountedMarket(());

impl Default for CountedMarket {
    fn default() -> CountedMarket {
        MARKETS.fetch_add(1, Ordering::Relaxed);
        CountedMarket(())
    }
}

impl Drop for CountedMarket {
    fn drop(&mut self) {
        MARKETS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether there are so many markets that prefetching pays.
#[inline(always)]
pub fn is_worthwhile() -> bool {
    MARKETS.load(Ordering::Relaxed) >= MANY_MARKETS
}

/// Prefetch what is going to be read.
#[inline(always)]
pub fn fetch<T>(things: &[T]) {
    let start = things.as_ptr().cast::<u8>();
    (0..size_of_val(things))
        .step_by(CACHE_LINE)
        .for_each(|offset| prefetch_line(start.wrapping_add(offset), false));
}

/// Prefetch what is going to be written.
#[inline(always)]
pub fn fetch_to_write<T>(things: &[T]) {
    fetch_room(things.as_ptr().cast(), size_of_val(things));
}

/// Prefetch so many bytes from an address on, which are going to be written.
#[inline(always)]
pub fn fetch_room(start: *const u8, len: usize) {
    (0..len)
        .step_by(CACHE_LINE)
        .for_each(|offset| prefetch_line(start.wrapping_add(offset), true));
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[inline(always)]
fn prefetch_line(address: *const u8, to_write: bool) {
    use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction takes any address, accesses nothing and never faults; every x86-64 has it.
    unsafe {
        if to_write {
            _mm_prefetch::<_MM_HINT_ET0>(address.cast());
        } else {
            _mm_prefetch::<_MM_HINT_T0>(address.cast());
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn prefetch_line(_address: *const u8, _to_write: bool) {}
