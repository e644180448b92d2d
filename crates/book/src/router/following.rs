//! Followers of markets, and telling that they have something.

use std::sync::atomic::Ordering;

use super::{Router, RouterError};
use crate::follow::{FollowSpec, Follower};
use crate::market::Market;

impl Router {
    /// A follower of nothing yet.
    pub fn follower(&self, spec: FollowSpec) -> Follower {
        let number = self.followers.fetch_add(1, Ordering::Relaxed) + 1;
        Follower::new(number, spec)
    }

    /// Follow a market from now on.
    pub fn follow(&self, follower: &Follower, market: u64) -> Result<(), RouterError> {
        follower.add(market, self.market(market)?);
        Ok(())
    }

    #[cold]
    pub(super) fn tell_followers(&self, held: &mut Market) {
        held.tell_followers(|follower| {
            self.pending.lock().ready(follower);
            self.has_events.store(true, Ordering::Release);
        });
    }
}
