//! The queue of one follower: marks, at most one a market, and a bounded ring of items.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::{FollowSpec, Item};

/// Something for the consumer.
#[derive(Debug)]
pub(crate) enum Entry {
    /// An item of a market, as it was.
    Item(u64, Item),
    /// A market that is to be read now.
    Marked(u64),
    /// The same, after it waited for a time of the interval.
    Due(u64),
}

/// The part of a follower that its markets know.
#[derive(Debug)]
pub(crate) struct Queue {
    pub number: u64,
    pub spec: FollowSpec,
    state: Mutex<State>,
    wake_up: Condvar,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<(Entry, usize)>,
    items: usize,
    bytes: usize,
    /// Marks deferred to the next time of the interval, and that time.
    deferred: Vec<u64>,
    due_ns: Option<i64>,
    /// The consumer knows that there are entries.
    announced: bool,
    /// A waiting consumer has to look.
    signalled: bool,
    /// The task that is to be woken then, where the consumer is one.
    task: Option<Waker>,
    finished: bool,
}

impl Queue {
    pub fn new(number: u64, spec: FollowSpec) -> Queue {
        Queue {
            number,
            spec,
            state: Mutex::default(),
            wake_up: Condvar::new(),
        }
    }

    /// Mark a market to be read; true if the consumer must be woken.
    pub fn mark(&self, market: u64) -> bool {
        let mut state = self.state.lock();
        state.entries.push_back((Entry::Marked(market), 0));
        self.announce(&mut state)
    }

    /// Mark it at the next time of the interval after `at_ns`.
    pub fn defer(&self, market: u64, at_ns: i64) -> bool {
        let mut state = self.state.lock();
        state.deferred.push(market);
        if state.due_ns.is_some() {
            return false;
        }
        let FollowSpec {
            interval_ns,
            start_ns,
            ..
        } = self.spec;
        let past = (at_ns - start_ns).div_euclid(interval_ns);
        state.due_ns = Some(start_ns + (past + 1) * interval_ns);
        self.signal(&mut state);
        self.spec.announces
    }

    /// Keep an item as it is; None where there is no room for it.
    pub fn keep(&self, market: u64, item: Item, bytes: usize) -> Option<bool> {
        let mut state = self.state.lock();
        if state.items >= self.spec.most_items || state.bytes + bytes > self.spec.most_bytes {
            return None;
        }
        state.entries.push_back((Entry::Item(market, item), bytes));
        state.items += 1;
        state.bytes += bytes;
        Some(self.announce(&mut state))
    }

    fn announce(&self, state: &mut State) -> bool {
        if state.announced {
            return false;
        }
        state.announced = true;
        self.signal(state);
        self.spec.announces
    }

    fn signal(&self, state: &mut State) {
        state.signalled = true;
        self.wake_up.notify_all();
        if let Some(task) = state.task.take() {
            task.wake();
        }
    }

    /// The oldest entry. Without one the next is announced.
    pub fn pop(&self, now_ns: i64) -> Option<Entry> {
        let mut state = self.state.lock();
        if state.due_ns.is_some_and(|due_ns| due_ns <= now_ns) {
            state.due_ns = None;
            let deferred = std::mem::take(&mut state.deferred);
            let marks = deferred.into_iter().map(|market| (Entry::Due(market), 0));
            state.entries.extend(marks);
        }
        let Some((entry, bytes)) = state.entries.pop_front() else {
            state.announced = false;
            return None;
        };
        state.bytes -= bytes;
        state.items -= usize::from(matches!(entry, Entry::Item(..)));
        Some(entry)
    }

    /// A mark could not be followed up now.
    pub fn put_back(&self, mark: Entry) {
        let mut state = self.state.lock();
        state.entries.push_front((mark, 0));
    }

    pub fn due_ns(&self) -> Option<i64> {
        self.state.lock().due_ns
    }

    pub fn wait(&self, most: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.signalled {
            let _ = self.wake_up.wait_for(&mut state, most);
        }
        std::mem::take(&mut state.signalled)
    }

    /// The same for a task: ready once there may be something new; until then the task is woken when there is.
    pub fn poll_wait(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.signalled) {
            return Poll::Ready(());
        }
        match &mut state.task {
            Some(task) => task.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    pub fn finish(&self) {
        let mut state = self.state.lock();
        state.finished = true;
        // Marks that wait for a time need not: it may never come.
        state.due_ns = state.due_ns.map(|_| i64::MIN);
        self.signal(&mut state);
    }

    pub fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.finished && state.entries.is_empty() && state.deferred.is_empty()
    }

    pub fn clear(&self) {
        let mut state = self.state.lock();
        let task = state.task.take();
        *state = State {
            finished: true,
            announced: true,
            task,
            ..State::default()
        };
        self.signal(&mut state);
    }

    pub fn held(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.items, state.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::follow::{Mode, OnStale};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn queue() -> Queue {
        let spec = FollowSpec {
            mode: Mode::Latest,
            levels: 1,
            interval_ns: 0,
            start_ns: 0,
            on_stale: OnStale::Raise,
            most_items: 1,
            most_bytes: 1,
            wants_unchanged: false,
            announces: false,
        };
        Queue::new(1, spec)
    }

    #[test]
    fn a_task_that_waits_is_woken_once_by_what_comes() {
        let (queue, count) = (queue(), Arc::new(Count::default()));
        let waker = count.clone().into();
        let mut context = Context::from_waker(&waker);
        assert!(queue.poll_wait(&mut context).is_pending());
        queue.mark(7);
        queue.mark(8); // announced already
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(queue.poll_wait(&mut context).is_ready());
        assert!(queue.poll_wait(&mut context).is_pending());
    }

    #[test]
    fn a_task_learns_of_what_came_before_it_waited_and_of_the_end() {
        let (queue, count) = (queue(), Arc::new(Count::default()));
        let waker = count.clone().into();
        let mut context = Context::from_waker(&waker);
        queue.mark(7);
        assert!(queue.poll_wait(&mut context).is_ready());
        assert!(queue.poll_wait(&mut context).is_pending());
        queue.clear();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(queue.poll_wait(&mut context).is_ready());
    }
}
