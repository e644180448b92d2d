//! How late updates arrive, as counts in powers of two: bounded, and cheap enough for every frame.

/// Buckets: the first for less than 1 µs, each next one twice as far, the last for everything above.
pub const BUCKETS: usize = 28;

/// From the exchange's event time to the receipt here, by an estimate of the exchange's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays {
    /// How many updates were at most `2^i` µs late, each counted once in the smallest such `i`.
    pub counts: [u64; BUCKETS],
    /// All delays together, in µs; what seems to come from the future counts as 0.
    pub sum_us: u64,
}

impl Default for Delays {
    fn default() -> Delays {
        Delays {
            counts: [0; BUCKETS],
            sum_us: 0,
        }
    }
}

impl Delays {
    /// One update.
    #[inline]
    pub fn record(&mut self, delay_us: i64) {
        let delay_us = u64::try_from(delay_us).unwrap_or(0);
        let bucket = (u64::BITS - delay_us.saturating_sub(1).leading_zeros()) as usize;
        self.counts[bucket.min(BUCKETS - 1)] += 1;
        self.sum_us += delay_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket_of(delay_us: i64) -> usize {
        let mut delays = Delays::default();
        delays.record(delay_us);
        delays.counts.iter().position(|count| *count == 1).unwrap()
    }

    #[test]
    fn a_delay_counts_in_the_smallest_power_of_two_that_holds_it() {
        for (delay_us, bucket) in [
            (-5, 0),
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 2),
            (5, 3),
            (1 << 40, 27),
        ] {
            assert_eq!(bucket_of(delay_us), bucket, "{delay_us}");
        }
    }
}
