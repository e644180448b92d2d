//! Telling the followers of a market: the theory stands in `follow`.

use std::sync::Arc;

use super::Market;
use crate::follow::{ChangeSummary, Changes, FollowerSlot, Item, Queue};
use crate::ladder::Merged;
use crate::message::DepthUpdate;
use crate::query::Reading;
use crate::status::Status;

/// Who follows a market, and what they were shown of it.
#[derive(Debug)]
pub(super) struct Following {
    slots: Vec<FollowerSlot>,
    /// Status and counts when the seats were told last.
    status: Status,
    applied: u64,
    levels_changed: u64,
    /// What the last update changes; only while somebody wants to know.
    changes: Option<Arc<Changes>>,
    /// Levels changed by something else than an update.
    pub(super) altered: bool,
}

impl Market {
    /// Whether anybody follows.
    #[inline]
    pub(crate) fn is_followed(&self) -> bool {
        self.following.is_some()
    }

    /// One more follower. What there is for it is there at once, and is not announced.
    pub(crate) fn follow(&mut self, number: u64, queue: Arc<Queue>) {
        let mut slot = FollowerSlot::new(queue, number, self);
        let counters = self.counters;
        let status = self.status_info().status;
        let first = ChangeSummary {
            status,
            status_changed: true,
            updated: false,
            levels_changed: false,
            altered: false,
            at_ns: 0,
            changes: None,
        };
        slot.on_change(self, &first);
        let following = self.following.get_or_insert_with(|| {
            Box::new(Following {
                slots: Vec::new(),
                status,
                applied: counters.applied,
                levels_changed: counters.levels_changed,
                changes: None,
                altered: false,
            })
        });
        following.slots.push(slot);
    }

    /// One follower less.
    pub(crate) fn unfollow(&mut self, follower: u64) {
        if let Some(following) = &mut self.following {
            following.slots.retain(|slot| slot.queue.number != follower);
            if following.slots.is_empty() {
                self.following = None;
            }
        }
    }

    /// Tell everybody what happened since the last call; `announce` is given the numbers of those whose
    /// consumers have to be told that there is something.
    #[cold]
    pub(crate) fn tell_followers(&mut self, mut announce: impl FnMut(u64)) {
        let Some(mut following) = self.following.take() else {
            return;
        };
        let status = self.status_info().status;
        let changes = following.changes.take();
        let summary = ChangeSummary {
            status,
            status_changed: status != following.status,
            updated: self.counters.applied != following.applied,
            levels_changed: self.counters.levels_changed != following.levels_changed,
            altered: std::mem::take(&mut following.altered),
            at_ns: self
                .updated_ns
                .map_or(self.caused_ns, |at_ns| at_ns.max(self.caused_ns)),
            changes: changes.as_ref(),
        };
        if summary.status_changed || summary.updated || summary.altered {
            for slot in &mut following.slots {
                if slot.on_change(self, &summary) {
                    announce(slot.queue.number);
                }
            }
        }
        following.status = status;
        following.applied = self.counters.applied;
        following.levels_changed = self.counters.levels_changed;
        self.following = Some(following);
    }

    /// What a mark of a follower stands for now.
    pub(crate) fn take_item(&mut self, follower: u64, was_due: bool) -> Option<Item> {
        let mut following = self.following.take()?;
        let mut slots = following.slots.iter_mut();
        let slot = slots.find(|slot| slot.queue.number == follower);
        let item = slot.and_then(|slot| slot.take(self, was_due));
        self.following = Some(following);
        item
    }

    /// An update is about to be applied: what of it is new.
    #[cold]
    pub(super) fn note_changes(&mut self, update: &DepthUpdate) {
        let live = self.state.status == Status::Synced;
        let Some(following) = &mut self.following else {
            return;
        };
        following.changes = None;
        if live && following.slots.iter().any(FollowerSlot::wants_every) {
            let bids = self.bids.changed_by(&update.bids);
            following.changes = Some(Arc::new((bids, self.asks.changed_by(&update.asks))));
        }
    }

    /// Levels changed by something else than an update.
    pub(super) fn note_altered(&mut self) {
        if let Some(following) = &mut self.following {
            following.altered = true;
        }
    }

    /// The same, if a merge changed any.
    pub(super) fn note_merged(&mut self, bids: Merged, asks: Merged) {
        if bids.altered || asks.altered {
            self.note_altered();
        }
    }
}
