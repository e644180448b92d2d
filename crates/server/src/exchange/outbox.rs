//! What waits to be sent on one connection: bounded, so that a slow reader costs at most so much, and ended instead of
//! skipped: a reader of diffs must never miss one silently.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::socket::Closing;

/// What a reader is told that fell behind.
pub const TOO_SLOW: Closing =
    Closing::policy("too slow: more than 1 MiB was not read; connect and take a new snapshot");

/// What a connection does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this.
    Send(Utf8Bytes),
    /// End.
    End(Closing),
}

/// The queue of one connection.
#[derive(Debug)]
pub struct Outbox {
    most_bytes: usize,
    is_combined: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Utf8Bytes>,
    bytes: usize,
    end: Option<Closing>,
    task: Option<Waker>,
}

impl Outbox {
    /// For at most so many bytes, but for one message alone. `is_combined`: data is wrapped with its stream.
    pub fn new(most_bytes: usize, is_combined: bool) -> Outbox {
        Outbox {
            most_bytes,
            is_combined: AtomicBool::new(is_combined),
            waiting: Mutex::default(),
        }
    }

    /// Whether data is wrapped with its stream.
    pub fn is_combined(&self) -> bool {
        self.is_combined.load(Ordering::Relaxed)
    }

    pub fn set_combined(&self, is_combined: bool) {
        self.is_combined.store(is_combined, Ordering::Relaxed);
    }

    /// One more message; where too much waits already, the connection ends.
    pub fn push(&self, message: Utf8Bytes) {
        let mut waiting = self.waiting.lock();
        if waiting.end.is_some() {
            return;
        }
        let len = message.as_str().len();
        if waiting.bytes > 0 && waiting.bytes + len > self.most_bytes {
            waiting.messages = VecDeque::new();
            waiting.bytes = 0;
            waiting.end = Some(TOO_SLOW);
        } else {
            waiting.bytes += len;
            waiting.messages.push_back(message);
        }
        if let Some(task) = waiting.task.take() {
            task.wake();
        }
    }

    /// End the connection once what waits is sent; without effect where it ends already.
    pub fn end(&self, closing: Closing) {
        let mut waiting = self.waiting.lock();
        waiting.end.get_or_insert(closing);
        if let Some(task) = waiting.task.take() {
            task.wake();
        }
    }

    /// What to do next; where there is nothing, the task is woken once there is something.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Next> {
        let mut waiting = self.waiting.lock();
        if let Some(message) = waiting.messages.pop_front() {
            waiting.bytes -= message.as_str().len();
            return Poll::Ready(Next::Send(message));
        }
        if let Some(closing) = &waiting.end {
            return Poll::Ready(Next::End(closing.clone()));
        }
        waiting.task = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_message_and_an_end_wake_the_task_that_waits() {
        let outbox = Outbox::new(10, false);
        let count = Arc::new(Count::default());
        let waker = count.clone().into();
        let mut context = Context::from_waker(&waker);
        assert!(outbox.poll_next(&mut context).is_pending());
        outbox.push("1".into());
        outbox.push("2".into());
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(outbox.poll_next(&mut context).is_ready());
        assert!(outbox.poll_next(&mut context).is_ready());
        assert!(outbox.poll_next(&mut context).is_pending());
        outbox.end(Closing::GOING_AWAY);
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }

    fn next(outbox: &Outbox) -> Poll<Next> {
        outbox.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_reader_that_falls_behind_is_ended() {
        let outbox = Outbox::new(10, false);
        outbox.push("12345".into());
        outbox.push("12345".into());
        assert_eq!(next(&outbox), Poll::Ready(Next::Send("12345".into())));
        outbox.push("12345".into());
        outbox.push("1".into());
        outbox.push("is not sent any more".into());
        assert_eq!(next(&outbox), Poll::Ready(Next::End(TOO_SLOW)));
    }

    #[test]
    fn one_message_may_be_larger_than_all_that_may_wait() {
        let outbox = Outbox::new(3, true);
        outbox.push("larger".into());
        assert_eq!(next(&outbox), Poll::Ready(Next::Send("larger".into())));
        assert_eq!(next(&outbox), Poll::Pending);
    }

    #[test]
    fn what_waits_is_sent_before_the_end() {
        let outbox = Outbox::new(10, false);
        outbox.push("last".into());
        outbox.end(Closing::GOING_AWAY);
        outbox.end(Closing::policy("too late"));
        assert_eq!(next(&outbox), Poll::Ready(Next::Send("last".into())));
        assert_eq!(next(&outbox), Poll::Ready(Next::End(Closing::GOING_AWAY)));
    }
}
