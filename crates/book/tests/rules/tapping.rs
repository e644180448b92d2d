//! What a tapped market hands out: every diff of the book once, in order, and no silent hole.

use std::sync::{Arc, Mutex};

use depthcache_book::codec::json;
use depthcache_book::market::outcome::{Outcome, SnapshotOutcome};
use depthcache_book::market::{DiffListener, TappedDiff};
use depthcache_book::status::Status;

use crate::builders::{Diff, MarketHarness, T, chained, diff, futures, snapshot, spot};

/// Notes what it gets: `12`, `snapshot 20`, `reset`.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn note(&self, text: String) {
        self.0.lock().expect("no test panics here").push(text);
    }

    fn taken(&self) -> String {
        std::mem::take(&mut *self.0.lock().expect("no test panics here")).join(", ")
    }
}

impl DiffListener for Notes {
    fn on_diff(&self, diff: &TappedDiff) {
        self.note(diff.ids.last.to_string());
    }

    fn on_snapshot(&self, update_id: i64) {
        self.note(format!("snapshot {update_id}"));
    }

    fn on_reset(&self, _generation: u64) {
        self.note("reset".to_owned());
    }

    fn on_status(&self, status: Status, reason: &str) {
        self.note(format!("{}: {reason}", status.as_str()));
    }
}

fn tapped(mut harness: MarketHarness) -> (MarketHarness, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    harness.market.keep_diffs();
    assert_eq!(harness.market.listen_to_diffs(notes.clone()), None);
    (harness, notes)
}

fn newest(harness: &mut MarketHarness) -> Option<i64> {
    let listener = Arc::new(Notes::default());
    let newest = harness.market.listen_to_diffs(listener.clone());
    let listener: Arc<dyn DiffListener> = listener;
    harness.market.ignore_diffs(&listener);
    newest.map(|diff| diff.ids.last)
}

#[test]
fn applied_diffs_are_handed_out_once_and_as_they_came() {
    let (mut book, notes) = tapped(spot().synced_at(10, &[], &[]));
    let event = diff(11, 12).with(&[("99.00", "1.00000000")], &[]);
    assert_eq!(book.feed(&event, 4), Outcome::Applied);
    assert_eq!(book.feed(&event, 5), Outcome::Old);
    assert_eq!(book.feed(&diff(12, 13), 6), Outcome::Applied);
    assert_eq!(notes.taken(), "12, 13");
    let kept = book.market.newest_diff().expect("it was applied");
    assert_eq!(&kept.event[..], &diff(12, 13).frame()[..]);
}

#[test]
fn a_new_reader_begins_with_the_newest_diff_of_a_book_that_is_live() {
    let (mut book, _) = tapped(futures().synced_at(10, &[], &[]));
    assert_eq!(newest(&mut book), None, "none came since the tap is there");
    book.feed(&chained(10, 15, 17), 4);
    assert_eq!(newest(&mut book), Some(17));
    book.feed(&chained(20, 21, 22), 5);
    assert_eq!(newest(&mut book), None, "the book misses diffs");
}

#[test]
fn what_follows_a_gap_shows_it() {
    for (first, events) in [
        (spot(), [diff(12, 12), diff(13, 13), diff(14, 14)]),
        (
            futures(),
            [
                chained(11, 12, 12),
                chained(12, 13, 13),
                chained(13, 14, 14),
            ],
        ),
    ] {
        let (mut book, notes) = tapped(first.synced_at(10, &[], &[]));
        for event in &events {
            assert_eq!(book.feed(event, 4), Outcome::Gap);
        }
        assert_eq!(notes.taken(), "", "nothing of it is in the book");
        assert_eq!(
            book.load(&snapshot(12, &[], &[]), 5),
            SnapshotOutcome::Synced
        );
        assert_eq!(notes.taken(), "14, snapshot 14");
        assert_eq!(newest(&mut book), Some(14));
    }
}

#[test]
fn a_snapshot_that_has_all_buffered_diffs_hands_out_the_newest_too() {
    let (mut book, notes) = tapped(spot().synced_at(10, &[], &[]));
    book.feed(&diff(12, 12), 4);
    book.feed(&diff(13, 13), 4);
    book.load(&snapshot(20, &[], &[]), 5);
    assert_eq!(notes.taken(), "13, snapshot 20");
}

#[test]
fn diffs_that_follow_are_all_handed_out_after_a_resync_without_a_gap() {
    let (mut book, notes) = tapped(futures().synced_at(10, &[], &[]));
    book.feed(&chained(10, 11, 11), 4);
    book.market.resync("a doubt", 4);
    book.feed(&chained(11, 12, 12), 5);
    book.feed(&chained(12, 13, 13), 5);
    book.load(&snapshot(12, &[], &[]), 6);
    book.feed(&chained(13, 14, 14), 7);
    assert_eq!(notes.taken(), "11, 12, 13, snapshot 13, 14");
}

#[test]
fn a_hole_among_buffered_diffs_is_shown_by_the_newest_before_it() {
    let (mut book, notes) = tapped(spot().synced_at(10, &[], &[]));
    book.market.resync("a doubt", 4);
    book.feed(&diff(11, 11), 4);
    book.feed(&diff(13, 13), 4);
    assert_eq!(book.load(&snapshot(10, &[], &[]), 5), SnapshotOutcome::Gap);
    assert_eq!(notes.taken(), "11");
    book.load(&snapshot(13, &[], &[]), 6);
    assert_eq!(notes.taken(), "13, snapshot 13");
}

#[test]
fn old_ids_are_never_handed_out_again() {
    let (mut book, notes) = tapped(futures().synced_at(10, &[], &[]));
    book.feed(&chained(10, 15, 17), 4);
    book.market.resync("a doubt", 4);
    book.feed(&chained(10, 15, 17), 5);
    book.load(&snapshot(17, &[], &[]), 5);
    book.feed(&chained(17, 18, 19), 6);
    assert_eq!(notes.taken(), "17, snapshot 17, 19");
}

#[test]
fn ids_that_are_reset_are_announced() {
    let late = |event: Diff| event.made_at(T + 60_000_000);
    let (mut book, notes) = tapped(spot().synced_at(1_000, &[], &[]));
    book.feed(&diff(1_001, 1_001), 4);
    book.feed(&late(diff(5, 6)), 5);
    assert_eq!(notes.taken(), "1001, reset");
    book.load(&snapshot(6, &[], &[]), 6);
    book.feed(&late(diff(7, 7)), 7);
    assert_eq!(notes.taken(), "6, snapshot 6, 7");
}

#[test]
fn a_book_that_goes_back_to_an_older_snapshot_announces_a_reset() {
    let (mut book, notes) = tapped(spot().synced_at(10, &[], &[]));
    book.feed(&diff(11, 12), 4);
    book.market.restart("another connection", 5);
    book.load(&snapshot(9, &[], &[]), 6);
    book.feed(&diff(10, 13), 7);
    assert_eq!(notes.taken(), "12, reset, snapshot 9, 13");
}

#[test]
fn levels_that_are_corrected_announce_that_diffs_do_not_lead_to_the_book() {
    let wrong = &[("99", "1")];
    for (bids, expected) in [(wrong, "12"), (&[("99", "7")], "12, reset")] {
        let (mut book, notes) = tapped(spot().synced_at(10, wrong, &[]));
        assert!(book.market.begin_refresh());
        book.feed(&diff(11, 12), 4);
        assert_eq!(book.refresh(&snapshot(12, bids, &[]), 5), "merged");
        assert_eq!(notes.taken(), expected);
    }
}

#[test]
fn without_a_keeper_nothing_is_kept() {
    let mut book = spot().synced_at(10, &[], &[]);
    book.market.keep_diffs();
    book.market.keep_diffs();
    book.market.release_diffs();
    book.feed(&diff(11, 11), 4);
    assert!(book.market.newest_diff().is_some());
    book.market.release_diffs();
    book.feed(&diff(12, 12), 4);
    assert!(book.market.newest_diff().is_none());
    let nobody = Arc::new(Notes::default());
    assert_eq!(book.market.listen_to_diffs(nobody.clone()), None);
    book.feed(&diff(13, 13), 4);
    assert_eq!(nobody.taken(), "");
}

#[test]
fn the_payload_of_a_frame_is_found_however_it_is_wrapped() {
    let event = r#"{"e":"depthUpdate","s":"A{}\"B","b":[["1","2"]],"a":[]}"#;
    for frame in [
        event.to_owned(),
        format!(r#"{{"stream":"a@depth","data":{event}}}"#),
        format!(r#"{{"stream":"a@depth","data":{event},"more":"}}"}}"#),
        format!(r#"{{"stream":"a@depth","data":{event},"more":{{}}}}"#),
        format!(r#"{{"data": {event} ,"stream":"a@depth"}}"#),
        format!(r#" {{ "stream" : "a\"@depth" , "data" : {event} }} "#),
    ] {
        let found = json::payload_of(frame.as_bytes());
        assert_eq!(String::from_utf8_lossy(found), event, "{frame}");
    }
    for whole in [
        r#"{"data":{"x":1}}"#,
        r#"{"stream":1,"data":{}}"#,
        r#"{"stream":"a","data":[]}"#,
    ] {
        assert_eq!(json::payload_of(whole.as_bytes()), whole.as_bytes());
    }
}
