//! The same ladder with so many books in the process that prefetching is on.

#[path = "ladder.rs"]
#[allow(dead_code)]
mod ladder;

use depthcache_book::market::sequence::Continuity;
use depthcache_book::market::{Market, MarketConfig};
use depthcache_book::{prefetch, vectors};

#[test]
fn what_is_asked_for_early_changes_nothing() {
    let market = || {
        let config = MarketConfig {
            continuity: Continuity::Contiguous,
            inverse: false,
            buffer_bytes: 0,
        };
        Market::new("binance.com", None, config, 0)
    };
    let few: Vec<_> = (0..63).map(|_| market()).collect();
    assert!(!prefetch::is_worthwhile());
    let one_more = market();
    assert!(prefetch::is_worthwhile());
    (1..=120).for_each(ladder::run);
    (1..=4).for_each(ladder::run_deep);
    vectors::use_portable(true);
    (1..=120).for_each(ladder::run);
    (1..=4).for_each(ladder::run_deep);
    vectors::use_portable(false);
    drop(one_more);
    assert!(!prefetch::is_worthwhile());
    drop(few);
}
