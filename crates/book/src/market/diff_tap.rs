//! The diffs that a book takes, as they came: for servers that hand them on in the exchange's own format.
//!
//! Theory of operation. A market without a server has no tap and pays one look a diff. A tapped market keeps the
//! newest diff that is in the book, and hands every diff to its listeners while the market is held, so that they see
//! them in the order of the book's own ids. What is handed out never goes back and never leaves a silent hole: a diff
//! follows the one before, or its ids show that some are missing.
//!
//! A snapshot that ends a gap holds diffs that were buffered. Where they follow what was handed out last, all are
//! handed out. Else only the newest is: its ids show the hole, and a reader that takes a new snapshot needs no older
//! one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};

use super::Market;
use super::sequence::Ids;
use crate::codec::json;
use crate::status::{Status, StatusInfo};

/// A diff that is in the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TappedDiff {
    /// Its ids.
    pub ids: Ids,
    /// The event, byte for byte: of a wrapped frame the object `data`.
    pub event: Bytes,
}

/// Takes the diffs of a market. Called while the market is held: only to note what is done elsewhere.
pub trait DiffListener: Send + Sync + fmt::Debug {
    /// One more diff is in the book.
    fn on_diff(&self, diff: &TappedDiff);

    /// The book was synced by a snapshot and now holds this id; diffs were handed out before.
    fn on_snapshot(&self, update_id: i64);

    /// What was handed out does not lead to the book any more: its update ids were reset, or levels were corrected.
    /// `generation` differs from all before.
    fn on_reset(&self, generation: u64);

    /// The status of the book, or its reason, changed.
    fn on_status(&self, status: Status, reason: &str);
}

/// The tap of a market; nothing while nobody asks for one.
#[derive(Debug, Default)]
pub(super) struct DiffTap(Option<Box<Tap>>);

#[derive(Debug)]
struct Tap {
    /// How many asked for it.
    keepers: usize,
    /// Changes with each reset; unique among all taps of this process.
    generation: u64,
    /// What the listeners were last notified of.
    status: Status,
    reason: String,
    newest: Option<TappedDiff>,
    /// `u` of what was handed out last.
    last: Option<i64>,
    listeners: Vec<Arc<dyn DiffListener>>,
}

/// A generation that no tap of this process had before.
fn next_generation() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

impl DiffTap {
    #[inline]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The diff of this frame is in the book: it was applied, or the snapshot that is held has it.
    #[inline]
    pub fn on_diff(&mut self, ids: Ids, frame: &[u8]) {
        if let Some(tap) = &mut self.0 {
            tap.hand_out(ids, frame);
        }
    }

    /// The book took a snapshot, and these buffered diffs are in it; it holds `update_id` now.
    #[cold]
    pub fn on_replayed(&mut self, diffs: &[(Ids, &[u8])], update_id: i64) {
        let Some(tap) = &mut self.0 else {
            return;
        };
        if tap.last.is_some_and(|last| last > update_id) {
            tap.reset(); // what comes now is older
        }
        let before = tap.last;
        let mut last = before;
        let is_new = |(ids, _): &&(Ids, &[u8])| before.is_none_or(|before| ids.last > before);
        let chains = diffs.iter().filter(is_new).all(|(ids, _)| {
            let follows = last.is_some_and(|last| ids.follows <= last);
            last = last.max(Some(ids.last));
            follows
        });
        let newest = diffs.iter().filter(is_new).max_by_key(|(ids, _)| ids.last);
        if chains {
            for (ids, frame) in diffs {
                tap.hand_out(*ids, frame);
            }
        } else if let Some((ids, frame)) = newest {
            tap.hand_out(*ids, frame);
        }
    }

    pub fn on_snapshot(&self, update_id: i64) {
        if let Some(tap) = &self.0 {
            for listener in &tap.listeners {
                listener.on_snapshot(update_id);
            }
        }
    }

    pub fn on_reset(&mut self) {
        if let Some(tap) = &mut self.0 {
            tap.reset();
        }
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |tap| {
            let newest = tap.newest.as_ref();
            size_of::<Tap>() + newest.map_or(0, |newest| newest.event.len())
        })
    }
}

impl Tap {
    fn reset(&mut self) {
        (self.newest, self.last) = (None, None);
        self.generation = next_generation();
        for listener in &self.listeners {
            listener.on_reset(self.generation);
        }
    }

    fn note_status(&mut self, info: StatusInfo<'_>) {
        if info.status == self.status && info.reason == self.reason {
            return;
        }
        self.status = info.status;
        info.reason.clone_into(&mut self.reason);
        for listener in &self.listeners {
            listener.on_status(info.status, info.reason);
        }
    }

    /// Hand out a diff, unless it is none after the last.
    fn hand_out(&mut self, ids: Ids, frame: &[u8]) {
        if self.last.is_some_and(|last| ids.last <= last) {
            return;
        }
        let event = json::payload_of(frame);
        // Without readers the memory of the one before is used again.
        let reused = self.newest.take().map(|newest| newest.event.try_into_mut());
        let mut bytes = match reused {
            Some(Ok(bytes)) => bytes,
            _ => BytesMut::with_capacity(event.len()),
        };
        bytes.clear();
        bytes.extend_from_slice(event);
        let diff = TappedDiff {
            ids,
            event: bytes.freeze(),
        };
        for listener in &self.listeners {
            listener.on_diff(&diff);
        }
        self.last = Some(ids.last);
        self.newest = Some(diff);
    }
}

impl Market {
    /// Keep the newest diff from now on; each call needs one of `release_diffs`.
    pub fn keep_diffs(&mut self) {
        let held = self.position.update_id.filter(|_| self.position.has_diff);
        let info = self.state.info();
        let tap = self.diff_tap.0.get_or_insert_with(|| {
            Box::new(Tap {
                keepers: 0,
                generation: next_generation(),
                status: info.status,
                reason: info.reason.to_owned(),
                newest: None,
                last: held,
                listeners: Vec::new(),
            })
        });
        tap.keepers += 1;
    }

    /// One needs the diffs no longer; with the last one, what is kept is gone.
    pub fn release_diffs(&mut self) {
        if let Some(tap) = &mut self.diff_tap.0 {
            tap.keepers = tap.keepers.saturating_sub(1);
            if tap.keepers == 0 {
                self.diff_tap.0 = None;
            }
        }
    }

    /// Hand out every diff from now on, after the newest one that is in the book, which is returned; None where the
    /// book follows no diffs now, or took none yet. Only after `keep_diffs`.
    pub fn listen_to_diffs(&mut self, listener: Arc<dyn DiffListener>) -> Option<TappedDiff> {
        let is_live = self.state.is_live();
        let tap = self.diff_tap.0.as_mut()?;
        tap.listeners.push(listener);
        tap.newest.clone().filter(|_| is_live)
    }

    /// The generation of the levels that the next diff continues; 0 without a tap.
    pub fn diff_generation(&self) -> u64 {
        self.diff_tap.0.as_ref().map_or(0, |tap| tap.generation)
    }

    /// Notify listeners of diffs if the status changed.
    #[inline]
    pub(crate) fn notify_tap_status(&mut self) {
        if let Some(tap) = &mut self.diff_tap.0 {
            tap.note_status(self.state.info());
        }
    }

    /// Hand out nothing to this listener any more.
    pub fn ignore_diffs(&mut self, listener: &Arc<dyn DiffListener>) {
        if let Some(tap) = &mut self.diff_tap.0 {
            tap.listeners.retain(|each| !Arc::ptr_eq(each, listener));
        }
    }

    /// The newest diff, where it is the one at which the book is: of its times, for example.
    pub fn newest_diff(&self) -> Option<&TappedDiff> {
        let newest = self.diff_tap.0.as_ref()?.newest.as_ref()?;
        (Some(newest.ids.last) == self.position.update_id).then_some(newest)
    }
}
