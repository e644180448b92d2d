//! The addresses from which connections come, and how much each of them may ask.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;

use crate::limits::Limits;

/// An address from which connections come.
#[derive(Debug)]
pub struct Peer {
    /// Its connections.
    connections: AtomicUsize,
    bucket: Mutex<Bucket>,
}

/// Requests that may come now; it fills with time.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Peer {
    fn new(limits: &Limits) -> Peer {
        Peer {
            connections: AtomicUsize::new(0),
            bucket: Mutex::new(Bucket {
                tokens: f64::from(limits.requests_per_second),
                filled: Instant::now(),
            }),
        }
    }

    /// Count one request; how many seconds to wait, where there were too many. 0 a second: no limit.
    pub fn take_turn(&self, per_second: u32) -> Result<(), u32> {
        if per_second == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let mut bucket = self.bucket.lock();
        let passed = now.duration_since(bucket.filled).as_secs_f64();
        let rate = f64::from(per_second);
        bucket.tokens = (bucket.tokens + passed * rate).min(rate);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return Err(1);
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

/// The addresses that have connections.
#[derive(Debug, Default)]
pub struct Peers(Mutex<HashMap<IpAddr, Weak<Peer>>>);

impl Peers {
    /// One more connection of an address; None where it has as many as it may have.
    pub fn admit(&self, address: IpAddr, limits: &Limits) -> Option<Admitted> {
        let mut peers = self.0.lock();
        if peers.len() > 2 * limits.connections {
            peers.retain(|_, peer| peer.strong_count() > 0);
        }
        let known = peers.get(&address).and_then(Weak::upgrade);
        let peer = known.unwrap_or_else(|| {
            let peer = Arc::new(Peer::new(limits));
            peers.insert(address, Arc::downgrade(&peer));
            peer
        });
        let before = peer.connections.fetch_add(1, Ordering::Relaxed);
        let admitted = Admitted(peer);
        (before < limits.connections_per_address).then_some(admitted)
    }
}

/// A connection that counts for its address until it is dropped.
#[derive(Debug)]
pub struct Admitted(Arc<Peer>);

impl Admitted {
    /// The address.
    pub fn peer(&self) -> Arc<Peer> {
        self.0.clone()
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
