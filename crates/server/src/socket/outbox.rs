//! Messages that other threads push to a socket, in bounded memory.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio_tungstenite::tungstenite::Message;

/// What a slow client has not taken yet; never more than its bound, unless one message alone is larger.
#[derive(Debug)]
pub struct Outbox {
    most_bytes: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    bytes: usize,
    task: Option<Waker>,
}

/// There is no room for a message: its client is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Outbox {
    /// An empty one for so many bytes.
    pub fn new(most_bytes: usize) -> Outbox {
        Outbox {
            most_bytes,
            state: Mutex::default(),
        }
    }

    /// Keep a message for the client and wake its task; refused where there is no room.
    pub fn push(&self, message: Message) -> Result<(), Full> {
        let mut state = self.state.lock();
        if state.bytes > 0 && state.bytes + message.len() > self.most_bytes {
            return Err(Full);
        }
        state.bytes += message.len();
        state.messages.push_back(message);
        if let Some(task) = state.task.take() {
            task.wake();
        }
        Ok(())
    }

    /// Forget all messages, for example because one that is newer than all of them follows.
    pub fn clear(&self) {
        let mut state = self.state.lock();
        state.messages.clear();
        state.bytes = 0;
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// The oldest message; without one the task is woken by the next `push`.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Message> {
        let mut state = self.state.lock();
        match state.messages.pop_front() {
            Some(message) => {
                state.bytes -= message.len();
                Poll::Ready(message)
            }
            None => {
                state.task = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
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
    fn it_is_bounded_and_wakes_its_task() {
        let outbox = Outbox::new(10);
        let count = Arc::new(Count::default());
        let waker = count.clone().into();
        let mut context = Context::from_waker(&waker);
        assert!(outbox.poll_next(&mut context).is_pending());
        outbox
            .push(Message::text("a message alone may be larger"))
            .expect("room");
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(outbox.push(Message::text("more")), Err(Full));
        assert!(outbox.poll_next(&mut context).is_ready());
        outbox.push(Message::text("12345")).expect("room");
        outbox.push(Message::text("12345")).expect("room");
        assert_eq!(outbox.push(Message::text("1")), Err(Full));
        assert_eq!(outbox.bytes(), 10);
        outbox.clear();
        assert!(outbox.poll_next(&mut context).is_pending());
    }
}
