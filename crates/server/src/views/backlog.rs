//! The memory of all views of a server: bounded together, with a fair share for each subscriber.
//!
//! Every view claims what its messages may take. While all claims fit into the half of the bound that is for messages,
//! each view keeps as much as it claims; beyond that all keep less, in proportion. The other half is for the newest
//! states: once they fill it, no further view begins. No subscriber may claim more than is left for all others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// The claims may exceed the bound so many times: a ring of messages cut further is of no use.
const MOST_CLAIMS: usize = 64;

/// A client with a share of its own: all connections of an address, or on this machine each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subscriber {
    Address(IpAddr),
    Connection(u64),
}

/// What all views keep.
#[derive(Debug)]
pub struct Backlog {
    /// Of messages, and as many of newest states.
    most_bytes: usize,
    messages: AtomicUsize,
    states: AtomicUsize,
    /// The total of claims by which views are cut; a little more than the actual one, so that it changes seldom.
    planned: AtomicUsize,
    claims: Mutex<Claims>,
}

#[derive(Debug, Default)]
struct Claims {
    views: usize,
    bytes: usize,
    by_subscriber: HashMap<Subscriber, usize>,
    keepers: Vec<Weak<dyn Keeper>>,
}

/// What keeps messages under a claim.
pub trait Keeper: Send + Sync {
    /// Keep no more than the claim allows now.
    fn cut(&self);
}

/// A claim counts until it is dropped.
#[derive(Debug)]
pub struct Claim {
    backlog: Arc<Backlog>,
    subscriber: Subscriber,
    bytes: usize,
}

/// There is no room for another view, or its subscriber has its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Backlog {
    pub fn new(most_bytes: usize) -> Arc<Backlog> {
        Arc::new(Backlog {
            most_bytes: most_bytes / 2,
            messages: AtomicUsize::new(0),
            states: AtomicUsize::new(0),
            planned: AtomicUsize::new(0),
            claims: Mutex::default(),
        })
    }

    /// How many views there are.
    pub fn views(&self) -> usize {
        self.claims.lock().views
    }

    /// Bytes of all messages and newest states.
    pub fn held_bytes(&self) -> usize {
        self.messages.load(Ordering::Relaxed) + self.states.load(Ordering::Relaxed)
    }

    /// How many bytes they may take.
    pub fn most_bytes(&self) -> usize {
        2 * self.most_bytes
    }

    /// Room for the messages of one more view.
    pub fn claim(self: &Arc<Self>, subscriber: Subscriber, bytes: usize) -> Result<Claim, Full> {
        let mut claims = self.claims.lock();
        let left = (MOST_CLAIMS.saturating_mul(self.most_bytes)).saturating_sub(claims.bytes);
        let own = claims.by_subscriber.get(&subscriber).copied().unwrap_or(0);
        if own + bytes > left || self.states.load(Ordering::Relaxed) >= self.most_bytes {
            return Err(Full);
        }
        claims.views += 1;
        claims.bytes += bytes;
        *claims.by_subscriber.entry(subscriber).or_default() += bytes;
        let backlog = self.clone();
        Ok(Claim {
            backlog,
            subscriber,
            bytes,
        })
    }

    /// A view begins to keep messages. May cut those of all others, so no view may be held.
    pub fn begin(&self, keeper: Weak<dyn Keeper>) {
        let mut claims = self.claims.lock();
        claims.keepers.push(keeper);
        let planned = self.planned.load(Ordering::Relaxed);
        if claims.bytes <= planned {
            return;
        }
        self.plan(claims.bytes);
        claims.keepers.retain(|keeper| keeper.strong_count() > 0);
        if self.planned.load(Ordering::Relaxed) <= self.most_bytes {
            return;
        }
        let keepers = claims.keepers.clone();
        drop(claims); // the last holder of a view gives its claim back
        for keeper in keepers.iter().filter_map(Weak::upgrade) {
            keeper.cut();
        }
    }

    fn plan(&self, claimed: usize) {
        let planned = claimed.saturating_add(claimed / 4);
        self.planned.store(planned, Ordering::Relaxed);
    }

    fn give_back(&self, subscriber: Subscriber, bytes: usize) {
        let mut claims = self.claims.lock();
        claims.views -= 1;
        claims.bytes -= bytes;
        if let Some(own) = claims.by_subscriber.get_mut(&subscriber) {
            *own -= bytes;
            if *own == 0 {
                claims.by_subscriber.remove(&subscriber);
            }
        }
        if claims.bytes < self.planned.load(Ordering::Relaxed) / 2 {
            self.plan(claims.bytes);
            claims.keepers.retain(|keeper| keeper.strong_count() > 0);
        }
    }
}

impl Claim {
    /// Who began the view.
    pub fn subscriber(&self) -> Subscriber {
        self.subscriber
    }

    /// How many bytes of messages the view may keep now.
    pub fn most_bytes(&self) -> usize {
        let planned = self.backlog.planned.load(Ordering::Relaxed);
        let most = self.backlog.most_bytes;
        if planned <= most {
            return self.bytes;
        }
        let share = self.bytes as u128 * most as u128 / planned as u128;
        usize::try_from(share).unwrap_or(self.bytes)
    }

    /// The view keeps other messages and another state than before, of so many bytes.
    pub fn on_kept(&self, before: (usize, usize), now: (usize, usize)) {
        for (all, before, now) in [
            (&self.backlog.messages, before.0, now.0),
            (&self.backlog.states, before.1, now.1),
        ] {
            if now > before {
                all.fetch_add(now - before, Ordering::Relaxed);
            } else if now < before {
                all.fetch_sub(before - now, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.backlog.give_back(self.subscriber, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Subscriber = Subscriber::Connection(1);
    const OTHER: Subscriber = Subscriber::Connection(2);

    #[test]
    fn a_subscriber_claims_no_more_than_is_left_for_the_others() {
        let backlog = Backlog::new(2 * 100);
        let all = MOST_CLAIMS * 100;
        let half = backlog.claim(ONE, all / 2).expect("as much is left");
        assert_eq!(backlog.claim(ONE, 1).err(), Some(Full));
        let quarter = backlog.claim(OTHER, all / 4).expect("as much is left");
        assert_eq!(backlog.claim(OTHER, 1).err(), Some(Full));
        backlog
            .claim(Subscriber::Connection(3), 1)
            .expect("every subscriber has a share");
        drop((half, quarter));
        assert_eq!((backlog.views(), backlog.claims.lock().bytes), (0, 0));
        assert!(backlog.claims.lock().by_subscriber.is_empty());
        backlog.claim(ONE, all / 2).expect("all is there again");
    }

    #[test]
    fn newest_states_that_fill_their_half_let_no_view_begin() {
        let backlog = Backlog::new(2 * 100);
        let claim = backlog.claim(ONE, 10).expect("there is room");
        claim.on_kept((0, 0), (10, 100));
        assert_eq!(backlog.held_bytes(), 110);
        assert_eq!(backlog.claim(OTHER, 1).err(), Some(Full));
        claim.on_kept((10, 100), (0, 99));
        assert!(backlog.claim(OTHER, 1).is_ok());
        assert_eq!(backlog.held_bytes(), 99);
    }
}
