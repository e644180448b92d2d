//! Whether the other side is alive: signs of life, and pings where there are none.
//!
//! A sign of life is a message that the sink took data from, or the answer to a ping of this side, known by
//! what it carries. Pings of the other side, messages of no use and pongs that were not asked for show
//! that the other side sends, not that this connection is of use: they delay no ping.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio_tungstenite::tungstenite::Bytes;

use super::{ConnectionEnd, nanos};

/// How long the answer to a ping after a pause may take.
pub const AWAKE: Duration = Duration::from_secs(2);

/// When the other side was heard, and the ping that it has to answer.
pub struct Liveness {
    /// After this long without a sign of life a ping is sent.
    quiet: Duration,
    /// Without an answer to it for this long the connection counts as broken.
    patience: Duration,
    /// When the connection was made, or a ping of this side was answered last.
    alive_ns: i64,
    /// A ping of this side that nothing has answered.
    pending: Option<PendingPing>,
    pings: u64,
    /// A peer that does not read our pings cannot guess what they carry.
    secret: RandomState,
    /// When silence is looked at next.
    check_ns: i64,
}

struct PendingPing {
    payload: Bytes,
    at_ns: i64,
    patience: Duration,
    /// Frames that waited in the socket during a pause answer nothing.
    after_pause: bool,
}

/// What a look at silence says.
pub enum Check {
    /// Look again at that time.
    At(i64),
    /// Silent for too long: send a ping.
    Silent,
    /// The ping was not answered.
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

    /// What the next ping carries, which is sent now.
    pub fn ping(&mut self, now_ns: i64) -> Bytes {
        self.expect_pong(now_ns, self.patience, false)
    }

    /// The same after a pause: nothing but the answer shows that the connection survived it.
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

    /// Whether a pong answers a ping of this side: silence begins again.
    pub fn on_pong(&mut self, payload: &Bytes, now_ns: i64) -> bool {
        let pending = self.pending.as_ref();
        let answers = pending.is_some_and(|ping| ping.payload == *payload);
        if answers {
            (self.pending, self.alive_ns) = (None, now_ns);
            self.check_ns = now_ns + nanos(self.quiet);
        }
        answers
    }

    /// A look was due so long ago that the time for an answer has passed, too.
    pub fn is_check_overdue(&self, now_ns: i64) -> bool {
        now_ns > self.check_ns + nanos(self.patience)
    }

    pub fn check_at(&mut self, check_ns: i64) {
        self.check_ns = check_ns;
    }

    /// Look at silence. `heard_ns`: when data of use came last; `grace`: the answer to a ping may be read so
    /// much later.
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
        let patience = self.patience.as_secs_f64();
        ConnectionEnd::because(format!(
            "half-open: silent for {quiet} s, no pong within {patience} s"
        ))
    }
}
