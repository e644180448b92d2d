//! What time it is for readers, and what they do not read because it is too old.

use depthcache_book::query::ReadPolicy;
use depthcache_book::status::{Refusal, TooOld};
use depthcache_book::timebase::Timebase;

use crate::builders::{diff, spot};

const S: i64 = 1_000_000_000;

#[test]
fn the_systems_clock_is_an_offset_that_small_differences_leave_as_it_is() {
    let time = Timebase::default();
    assert_eq!(time.wall_offset_ns(), None);
    time.on_wall(5 * S, 105 * S);
    assert_eq!(time.wall_offset_ns(), Some(100 * S));
    time.on_wall(6 * S, 106 * S + 999_999);
    assert_eq!(time.wall_offset_ns(), Some(100 * S), "two readings apart");
    time.on_wall(7 * S, 107 * S - 1_000_000);
    assert_eq!(time.wall_offset_ns(), Some(100 * S - 1_000_000), "a step");
}

#[test]
fn a_virtual_clock_takes_the_place_of_both() {
    let time = Timebase::default();
    assert_eq!(time.now_ns(|| 7), 7);
    time.set_virtual(3 * S, 50 * S);
    time.on_wall(5 * S, 105 * S);
    assert_eq!(time.now_ns(|| 7), 3 * S);
    assert_eq!(time.wall_offset_ns(), Some(47 * S));
}

#[test]
fn a_reader_that_limits_the_age_asks_the_clock_and_no_other_does() {
    let mut harness = spot().synced_at(10, &[("99", "1")], &[("101", "1")]);
    harness.feed(&diff(11, 11), 5 * S);
    let any = ReadPolicy::default();
    assert_eq!(any.check(&harness.market, || unreachable!()), Ok(()));
    let young = ReadPolicy {
        max_age_ns: Some(S),
        ..any
    };
    assert_eq!(young.check(&harness.market, || 6 * S), Ok(()));
    let refused = TooOld {
        age_ns: S + 1,
        max_age_ns: S,
    };
    let found = young.check(&harness.market, || 6 * S + 1);
    assert_eq!(found, Err(Refusal::TooOld(refused)));
    harness.market.resync("asked for", 7 * S);
    let found = young.check(&harness.market, || unreachable!());
    assert!(matches!(found, Err(Refusal::NotReadable(_))));
}
