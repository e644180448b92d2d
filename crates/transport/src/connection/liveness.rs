//! Detect dead peers by signs of life, and send pings without them.
//!
//! A sign of life is a message whose data the sink used, or a pong with the payload of our ping. Pings of the
//! peer, useless messages and unsolicited pongs only show that the peer sends something, so they do not delay
//! our pings.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio_tungstenite::tungstenite::Bytes;

use super::{ConnectionEnd, nanos};

/// Timeout for the pong to a ping after a pause.
pub const AWAKE: Duration = Duration::from_secs(2);

/// How long a pong is waited for: at least as given, and longer if the peer is so far away that opening the connection
/// took long.
pub fn patience_of(given: Duration, took: Duration) -> Duration {
    /// No peer is farther away; a handshake may be slow for other reasons.
    const MOST: Duration = Duration::from_secs(5);
    given.max((2 * took).min(MOST))
}

/// The last sign of life of the peer, and the ping that it must answer.
pub struct Liveness {
    /// A ping is sent after this time without a sign of life.
    quiet: Duration,
    /// Without a pong within this time, the connection counts as broken.
    patience: Duration,
    /// When the connection was opened, or the last pong arrived.
    alive_ns: i64,
    /// A ping without a pong so far.
    pending: Option<PendingPing>,
    pings: u64,
    /// Generates random payloads: a peer that does not read our pings cannot guess them.
    secret: RandomState,
    /// Time of the next check.
    check_ns: i64,
}

struct PendingPing {
    payload: Bytes,
    at_ns: i64,
    patience: Duration,
    /// Set after a pause: frames that waited in the socket during it prove nothing.
    after_pause: bool,
}

/// The result of a check.
pub enum Check {
    /// Check again at this time.
    At(i64),
    /// The peer has been silent for too long: send a ping.
    Silent,
    /// There was no pong.
    Dead(ConnectionEnd),
}

impl Liveness {
    pub fn new(now_ns: i64, quiet: Duration, patience: Duration) -> Liveness {
        Liveness {
            quiet,
            patience,
            alive_ns: now_ns,
            pending: None,
            pings: 0,
            secret: RandomState::new(),
            check_ns: now_ns + nanos(quiet),
        }
    }

    /// The payload of a ping that is sent now.
    pub fn ping(&mut self, now_ns: i64) -> Bytes {
        self.expect_pong(now_ns, self.patience, false)
    }

    /// The payload of a ping after a pause: only its pong proves that the connection survived.
    pub fn ping_after_pause(&mut self, now_ns: i64) -> Bytes {
        self.check_ns = now_ns + nanos(AWAKE);
        self.expect_pong(now_ns, AWAKE, true)
    }

    fn expect_pong(&mut self, now_ns: i64, patience: Duration, after_pause: bool) -> Bytes {
        self.pings += 1;
        let payload = format!("{:016x}", self.secret.hash_one(self.pings));
        let payload = Bytes::from(payload.into_bytes());
        self.pending = Some(PendingPing {
            payload: payload.clone(),
            at_ns: now_ns,
            patience,
            after_pause,
        });
        payload
    }

    /// Whether a pong answers our ping. If so, it is a sign of life.
    pub fn on_pong(&mut self, payload: &Bytes, now_ns: i64) -> bool {
        let pending = self.pending.as_ref();
        let answers = pending.is_some_and(|ping| ping.payload == *payload);
        if answers {
            (self.pending, self.alive_ns) = (None, now_ns);
            self.check_ns = now_ns + nanos(self.quiet);
        }
        answers
    }

    /// Whether the check is so late that the pong timeout has passed as well.
    pub fn is_check_overdue(&self, now_ns: i64) -> bool {
        now_ns > self.check_ns + nanos(self.patience)
    }

    pub fn check_at(&mut self, check_ns: i64) {
        self.check_ns = check_ns;
    }

    /// Check for silence. `heard_ns`: time of the last useful data. `grace`: extra time for the pong.
    pub fn check(&mut self, now_ns: i64, heard_ns: Option<i64>, grace: Duration) -> Check {
        let heard_ns = self.alive_ns.max(heard_ns.unwrap_or(i64::MIN));
        let is_answered = |ping: &PendingPing| heard_ns > ping.at_ns && !ping.after_pause;
        if self.pending.as_ref().is_some_and(is_answered) {
            self.pending = None;
        }
        match &self.pending {
            Some(ping) => {
                let due_ns = ping.at_ns + nanos(ping.patience) + nanos(grace);
                if now_ns >= due_ns {
                    return Check::Dead(self.half_open(ping));
                }
                Check::At(due_ns)
            }
            None if now_ns >= heard_ns + nanos(self.quiet) => Check::Silent,
            None => Check::At(heard_ns + nanos(self.quiet)),
        }
    }

    fn half_open(&self, ping: &PendingPing) -> ConnectionEnd {
        if ping.after_pause {
            let within = ping.patience.as_secs_f64();
            return ConnectionEnd::because(format!(
                "half-open: no pong within {within} s after a pause"
            ));
        }
        let quiet = self.quiet.as_secs_f64();
        let patience = (self.patience.as_secs_f64() * 1_000.0).round() / 1_000.0;
        ConnectionEnd::because(format!(
            "half-open: silent for {quiet} s, no pong within {patience} s"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_peer_has_more_time_for_a_pong() {
        let within = |given, took| {
            let ms = Duration::from_millis;
            patience_of(ms(given), ms(took)).as_millis()
        };
        assert_eq!(within(700, 10), 700);
        assert_eq!(within(700, 1_800), 3_600);
        assert_eq!(
            within(700, 60_000),
            5_000,
            "a handshake may be slow for other reasons"
        );
        assert_eq!(within(8_000, 60_000), 8_000);
    }
}
