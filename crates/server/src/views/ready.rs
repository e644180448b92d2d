//! Which subscriptions of one connection have something to read: each at most once, in the order in which they came.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::backlog::Subscriber;

/// The marks of one connection.
#[derive(Debug)]
pub struct Ready {
    /// Whose connection it is.
    pub subscriber: Subscriber,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<u32>,
    /// By key: whether it is in the queue.
    queued: Vec<bool>,
    /// Other books are served than before.
    books_changed: bool,
    task: Option<Waker>,
}

/// What a connection has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Read the channel of this key.
    Read(u32),
    /// Look for books that came.
    Books,
}

impl Ready {
    pub fn new(subscriber: Subscriber) -> Ready {
        Ready {
            subscriber,
            state: Mutex::default(),
        }
    }

    /// There is something to read under a key.
    pub fn mark(&self, key: u32) {
        let mut state = self.state.lock();
        let place = key as usize;
        if state.queued.len() <= place {
            state.queued.resize(place + 1, false);
        }
        if !std::mem::replace(&mut state.queued[place], true) {
            state.queue.push_back(key);
            state.wake();
        }
    }

    /// The same from the task itself, which goes on anyway.
    pub fn mark_again(&self, key: u32) {
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.queued[key as usize], true) {
            state.queue.push_back(key);
        }
    }

    /// Other books are served than before.
    pub fn mark_books(&self) {
        let mut state = self.state.lock();
        state.books_changed = true;
        state.wake();
    }

    /// What is first; without anything the task is woken by the next mark.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Due> {
        let mut state = self.state.lock();
        // Before the queue, which is never empty for a reader that is too slow.
        if std::mem::take(&mut state.books_changed) {
            return Poll::Ready(Due::Books);
        }
        if let Some(key) = state.queue.pop_front() {
            state.queued[key as usize] = false;
            return Poll::Ready(Due::Read(key));
        }
        match &mut state.task {
            Some(task) => task.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}
