//! The addresses from which connections come, and how much each of them may ask.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::limits::Limits;

/// An address from which connections come.
#[derive(Debug)]
pub struct Peer {
    /// Its connections.
    connections: AtomicUsize,
    bucket: Mutex<Bucket>,
    joining: Mutex<Bucket>,
}

/// Requests a second of strangers who want to join, from one address: each costs a signature at most.
const JOINING_PER_SECOND: u32 = 20;

/// Requests that may come now; it fills with time.
#[derive(Debug)]
pub struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Peer {
    fn new(limits: &Limits) -> Peer {
        Peer {
            connections: AtomicUsize::new(0),
            bucket: Mutex::new(Bucket::full(limits.requests_per_second)),
            joining: Mutex::new(Bucket::full(JOINING_PER_SECOND)),
        }
    }

    /// Whether a new one would be the same: no connection, and all requests allowed.
    fn is_quiet(&self) -> bool {
        let second = Duration::from_secs(1);
        self.connections.load(Ordering::Relaxed) == 0
            && self.bucket.lock().filled.elapsed() > second
            && self.joining.lock().filled.elapsed() > second
    }

    /// Count one request to join; whether there were not too many.
    pub fn may_join(&self) -> bool {
        self.joining.lock().take(JOINING_PER_SECOND)
    }

    /// Count one request; how many seconds to wait, where there were too many. 0 a second: no limit.
    pub fn take_turn(&self, per_second: u32) -> Result<(), u32> {
        if per_second == 0 {
            return Ok(());
        }
        match self.bucket.lock().take(per_second) {
            true => Ok(()),
            false => Err(1),
        }
    }
}

impl Bucket {
    /// One that lets a second's worth pass at once.
    pub fn full(per_second: u32) -> Bucket {
        Bucket {
            tokens: f64::from(per_second),
            filled: Instant::now(),
        }
    }

    /// Take one; false where there are too many.
    pub fn take(&mut self, per_second: u32) -> bool {
        let now = Instant::now();
        let passed = now.duration_since(self.filled).as_secs_f64();
        let rate = f64::from(per_second);
        self.tokens = (self.tokens + passed * rate).min(rate);
        self.filled = now;
        let is_there = self.tokens >= 1.0;
        if is_there {
            self.tokens -= 1.0;
        }
        is_there
    }
}

/// The addresses that have connections, or had some a moment ago.
#[derive(Debug, Default)]
pub struct Peers(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    peers: HashMap<IpAddr, Arc<Peer>>,
    /// Forget those that are quiet once there are so many.
    sweep_at: usize,
}

impl Peers {
    /// One more connection of an address; None where it has as many as it may have.
    pub fn admit(&self, address: IpAddr, limits: &Limits) -> Option<Admitted> {
        const FEWEST: usize = 1_024;
        let mut known = self.0.lock();
        if known.peers.len() > known.sweep_at.max(FEWEST) {
            known.peers.retain(|_, peer| !peer.is_quiet());
            known.sweep_at = 2 * known.peers.len();
        }
        let peer = known.peers.entry(network(address));
        let peer = peer.or_insert_with(|| Arc::new(Peer::new(limits))).clone();
        let before = peer.connections.fetch_add(1, Ordering::Relaxed);
        let admitted = Admitted { peer, address };
        // All programs of this machine come from one address, and so do all clients of a proxy on it.
        let is_local = address.to_canonical().is_loopback();
        (is_local || before < limits.connections_per_address).then_some(admitted)
    }
}

/// What counts as one address: of IPv6 the network of 64 bits, all of which one host may use.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
        address => address,
    }
}

/// A connection that counts for its address until it is dropped.
#[derive(Debug)]
pub struct Admitted {
    peer: Arc<Peer>,
    address: IpAddr,
}

impl Admitted {
    /// What counts as its address.
    pub fn peer(&self) -> Arc<Peer> {
        self.peer.clone()
    }

    /// The address itself.
    pub fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.peer.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        connections_per_address: 2,
        requests_per_second: 3,
        ..Limits::DEFAULT
    };

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_has_so_many_connections_and_gets_them_back() {
        let peers = Peers::default();
        let one = peers
            .admit(address("10.0.0.1"), &LIMITS)
            .expect("the first");
        let _two = peers
            .admit(address("::ffff:10.0.0.1"), &LIMITS)
            .expect("the second");
        assert!(peers.admit(address("10.0.0.1"), &LIMITS).is_none());
        assert!(peers.admit(address("10.0.0.2"), &LIMITS).is_some());
        drop(one);
        assert!(peers.admit(address("10.0.0.1"), &LIMITS).is_some());
    }

    #[test]
    fn the_programs_of_this_machine_have_no_limit_of_their_own() {
        let peers = Peers::default();
        for text in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let admitted = (0..5).map(|_| peers.admit(address(text), &LIMITS));
            let admitted: Vec<_> = admitted.collect();
            assert!(admitted.iter().all(Option::is_some), "{text}");
        }
        let most = Limits::DEFAULT;
        assert!(
            10 * most.connections_per_address <= most.connections,
            "one of ten takes them all"
        );
    }

    #[test]
    fn a_new_connection_brings_no_new_requests() {
        let peers = Peers::default();
        let answers: Vec<bool> = (0..6)
            .map(|_| {
                let admitted = peers.admit(address("10.0.0.1"), &LIMITS).expect("alone");
                admitted
                    .peer()
                    .take_turn(LIMITS.requests_per_second)
                    .is_ok()
            })
            .collect();
        assert_eq!(&answers[..4], [true, true, true, false]);
    }

    #[test]
    fn an_address_may_ask_to_join_a_few_times_a_second() {
        let peers = Peers::default();
        let answers: Vec<bool> = (0..40)
            .map(|_| {
                let admitted = peers.admit(address("10.0.0.1"), &LIMITS).expect("alone");
                admitted.peer().may_join()
            })
            .collect();
        let (first, last) = answers.split_at(JOINING_PER_SECOND as usize);
        assert!(first.iter().all(|may| *may));
        assert!(last.iter().any(|may| !may));
        let other = peers.admit(address("10.0.0.2"), &LIMITS).expect("alone");
        assert!(other.peer().may_join());
    }

    #[test]
    fn the_addresses_of_one_host_count_together() {
        assert_eq!(
            network(address("2001:db8::1")),
            network(address("2001:db8::ffff:1"))
        );
        assert_ne!(
            network(address("2001:db8:0:1::1")),
            network(address("2001:db8::1"))
        );
    }
}
