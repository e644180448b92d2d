//! The same ladder with so many books in the process that their memory is taken to be far.

#[path = "ladder.rs"]
#[allow(dead_code)]
mod ladder;

use depthcache_book::far;
use depthcache_book::market::{Market, Terms};
use depthcache_book::sequence::Continuity;

#[test]
fn what_is_asked_for_early_changes_nothing() {
    let market = || {
        let terms = Terms {
            continuity: Continuity::Contiguous,
            buffer_bytes: 0,
        };
        Market::new("binance.com", None, terms)
    };
    let few: Vec<_> = (0..63).map(|_| market()).collect();
    assert!(!far::is_far());
    let one_more = market();
    assert!(far::is_far());
    (1..=240).for_each(ladder::run);
    drop(one_more);
    assert!(!far::is_far());
    drop(few);
}
