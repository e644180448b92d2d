//! The followers of a market: what happened since they were last notified. The theory is in `follow`.

use std::sync::Arc;

use super::Market;
use crate::follow::{ChangeSummary, Changes, FollowedBook, FollowerSlot, Item, Queue};
use crate::frozen::Frozen;
use crate::ladder::Ladder;
use crate::message::DepthUpdate;
use crate::query::Reading;
use crate::status::Status;

/// The followers of a market; nothing while there are none, so that a book without them pays one look.
#[derive(Debug, Default)]
pub(super) struct Followers(Option<Box<Slots>>);

#[derive(Debug)]
struct Slots {
    slots: Vec<FollowerSlot>,
    /// Status and counts when the followers were last notified.
    status: Status,
    applied: u64,
    levels_changed: u64,
    /// What the last update changes; only while a follower wants every update.
    changes: Option<Arc<Changes>>,
    /// Levels changed by something else than an update.
    altered: bool,
}

impl Followers {
    #[inline]
    pub fn are_any(&self) -> bool {
        self.0.is_some()
    }

    fn add(&mut self, slot: FollowerSlot, market: &Market) {
        let counters = market.counters();
        let all = self.0.get_or_insert_with(|| {
            Box::new(Slots {
                slots: Vec::new(),
                status: market.status_info().status,
                applied: counters.applied,
                levels_changed: counters.levels_changed,
                changes: None,
                altered: false,
            })
        });
        all.slots.push(slot);
    }

    fn remove(&mut self, follower: u64) {
        if let Some(all) = &mut self.0 {
            all.slots.retain(|slot| slot.queue.number != follower);
            if all.slots.is_empty() {
                self.0 = None;
            }
        }
    }

    /// An update is about to be applied: what of it is new.
    #[cold]
    pub fn note_changes(
        &mut self,
        bids: &Ladder,
        asks: &Ladder,
        update: &DepthUpdate,
        is_synced: bool,
    ) {
        let Some(all) = &mut self.0 else {
            return;
        };
        all.changes = None;
        if is_synced && all.slots.iter().any(FollowerSlot::wants_every) {
            let changes = (bids.changed_by(&update.bids), asks.changed_by(&update.asks));
            all.changes = Some(Arc::new(changes));
        }
    }

    /// Levels changed by something else than an update.
    pub fn note_altered(&mut self) {
        if let Some(all) = &mut self.0 {
            all.altered = true;
        }
    }

    fn notify(&mut self, market: &Market, at_ns: i64, mut announce: impl FnMut(u64)) {
        let Some(all) = &mut self.0 else {
            return;
        };
        let (status, counters) = (market.status_info().status, market.counters());
        let changes = all.changes.take();
        let summary = ChangeSummary {
            status,
            status_changed: status != all.status,
            updated: counters.applied != all.applied,
            levels_changed: counters.levels_changed != all.levels_changed,
            altered: std::mem::take(&mut all.altered),
            at_ns,
            changes: changes.as_ref(),
        };
        if summary.status_changed || summary.updated || summary.altered {
            for slot in &mut all.slots {
                if slot.on_change(market, &summary) {
                    announce(slot.queue.number);
                }
            }
        }
        all.status = status;
        all.applied = counters.applied;
        all.levels_changed = counters.levels_changed;
    }

    fn take_item(&mut self, market: &Market, follower: u64, was_due: bool) -> Option<Item> {
        let mut slots = self.0.as_mut()?.slots.iter_mut();
        let slot = slots.find(|slot| slot.queue.number == follower)?;
        slot.take(market, was_due)
    }
}

impl FollowedBook for Market {
    fn freeze(&self, levels: usize) -> Frozen {
        Market::freeze(self, levels)
    }
}

impl Market {
    /// Whether there is a follower.
    #[inline]
    pub(crate) fn is_followed(&self) -> bool {
        self.followers.are_any()
    }

    /// One more follower. What there is for it is there at once, and is not announced.
    pub(crate) fn follow(&mut self, number: u64, queue: Arc<Queue>) {
        let mut slot = FollowerSlot::new(queue, number, self);
        let status = self.status_info().status;
        slot.on_change(self, &ChangeSummary::first(status));
        self.with_followers(|followers, market| followers.add(slot, market));
    }

    /// One follower less.
    pub(crate) fn unfollow(&mut self, follower: u64) {
        self.followers.remove(follower);
    }

    /// Notify all followers of what happened since the last call; `announce` gets the numbers of those whose
    /// consumers must be woken.
    #[cold]
    pub(crate) fn notify_followers(&mut self, announce: impl FnMut(u64)) {
        let caused_ns = self.events.at_ns();
        let at_ns = self
            .position
            .updated_ns
            .map_or(caused_ns, |at_ns| at_ns.max(caused_ns));
        self.with_followers(|followers, market| followers.notify(market, at_ns, announce));
    }

    /// The item of a follower's mark, as the market is now.
    pub(crate) fn take_item(&mut self, follower: u64, was_due: bool) -> Option<Item> {
        self.with_followers(|followers, market| followers.take_item(market, follower, was_due))
    }

    /// Followers read the market while they change: they are taken out of it for so long.
    fn with_followers<T>(&mut self, act: impl FnOnce(&mut Followers, &Market) -> T) -> T {
        let mut followers = std::mem::take(&mut self.followers);
        let result = act(&mut followers, self);
        self.followers = followers;
        result
    }
}
