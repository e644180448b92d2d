//! What the owner of the server decides: requests wait for it in a bounded queue, and never for long.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::problem::Problem;

/// Requests that wait at most; more are refused.
pub const CAPACITY: usize = 64;

/// A request for the owner. It has no `Debug`: old clients send secrets in its body.
pub struct DelegatedRequest {
    /// Its number, for the response.
    pub number: u64,
    /// The name of its route.
    pub route: &'static str,
    /// The first parameter of the path, as the path has it: the exchange, unless the route says otherwise.
    pub exchange: String,
    /// The second one: the symbol.
    pub symbol: String,
    /// The body; of a GET, its parameters as a JSON object.
    pub body: Bytes,
}

/// What the owner answers.
#[derive(Debug)]
pub struct DelegatedResponse {
    /// The status.
    pub status: u16,
    /// JSON; empty for none.
    pub body: Vec<u8>,
}

/// The queue to the owner and back.
#[derive(Default)]
pub struct Delegation {
    state: Mutex<State>,
    came: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<DelegatedRequest>,
    waiting: HashMap<u64, oneshot::Sender<DelegatedResponse>>,
    last: u64,
    is_over: bool,
}

impl Delegation {
    /// The next request, as soon as there is one; None after so long, and at the end.
    pub fn take(&self, most: Duration) -> Option<DelegatedRequest> {
        let until = Instant::now() + most;
        let mut state = self.state.lock();
        while !state.is_over && state.queue.is_empty() {
            if self.came.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        state.queue.pop_front()
    }

    /// Whether no request comes any more.
    pub fn is_over(&self) -> bool {
        self.state.lock().is_over
    }

    /// Whether somebody waits for the answer to a request.
    pub fn is_waiting(&self, number: u64) -> bool {
        self.state.lock().waiting.contains_key(&number)
    }

    /// Answer a request; false where nobody waits for it any more.
    pub fn respond(&self, number: u64, response: DelegatedResponse) -> bool {
        let waiting = self.state.lock().waiting.remove(&number);
        waiting.is_some_and(|waiting| waiting.send(response).is_ok())
    }

    /// Let nobody wait any more.
    pub fn finish(&self) {
        let mut state = self.state.lock();
        state.is_over = true;
        state.queue.clear();
        state.waiting.clear();
        self.came.notify_all();
    }

    /// Ask, and wait for the answer at most so long.
    pub async fn ask(
        &self,
        make: impl FnOnce(u64) -> DelegatedRequest,
        most: Duration,
    ) -> Result<DelegatedResponse, Problem> {
        let (number, answer) = {
            let mut state = self.state.lock();
            if state.is_over {
                return Err(unavailable("draining", "the server is shutting down"));
            }
            if state.waiting.len() >= CAPACITY {
                let message = format!("{CAPACITY} requests wait for the program already");
                return Err(unavailable("busy", &message));
            }
            state.last += 1;
            let number = state.last;
            let (sender, answer) = oneshot::channel();
            state.waiting.insert(number, sender);
            state.queue.push_back(make(number));
            self.came.notify_one();
            (number, answer)
        };
        let _forget = ForgetOnDrop(self, number);
        match timeout(most, answer).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(_)) => Err(unavailable("draining", "the server is shutting down")),
            Err(_) => {
                let message = format!(
                    "the program did not respond within {} s: its event loop is held; \
                     reads are not affected",
                    most.as_secs_f64()
                );
                Err(unavailable("program_silent", &message))
            }
        }
    }
}

/// A request that nobody waits for any more is not to be carried out: it is taken out of the queue.
struct ForgetOnDrop<'a>(&'a Delegation, u64);

impl Drop for ForgetOnDrop<'_> {
    fn drop(&mut self) {
        let ForgetOnDrop(delegation, number) = self;
        let mut state = delegation.state.lock();
        state.waiting.remove(number);
        state.queue.retain(|request| request.number != *number);
    }
}

fn unavailable(code: &'static str, message: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, message).retry_after(1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn request(number: u64) -> DelegatedRequest {
        DelegatedRequest {
            number,
            route: "begin_book",
            exchange: "binance.com".to_owned(),
            symbol: "BTCUSDT".to_owned(),
            body: Bytes::new(),
        }
    }

    const SOON: Duration = Duration::from_millis(1);
    const LATE: Duration = Duration::from_secs(60);

    fn run<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.expect("a runtime").block_on(work)
    }

    #[test]
    fn the_answer_of_the_owner_reaches_the_one_who_asked() {
        let delegation = Arc::new(Delegation::default());
        let owner = {
            let delegation = delegation.clone();
            std::thread::spawn(move || {
                let taken = delegation.take(LATE).expect("asked below");
                let body = taken.symbol.into_bytes();
                delegation.respond(taken.number, DelegatedResponse { status: 201, body })
            })
        };
        let answered = run(delegation.ask(request, LATE)).expect("answered");
        assert_eq!((answered.status, &*answered.body), (201, &b"BTCUSDT"[..]));
        assert!(owner.join().expect("no panic"));
    }

    #[test]
    fn a_request_that_nobody_waits_for_any_more_is_not_carried_out() {
        let delegation = Delegation::default();
        let problem = run(delegation.ask(request, SOON)).expect_err("nobody answers");
        assert_eq!(problem.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(delegation.take(Duration::ZERO).is_none());
        assert!(!delegation.is_waiting(1));
        let late = DelegatedResponse {
            status: 200,
            body: Vec::new(),
        };
        assert!(!delegation.respond(1, late));
    }

    #[test]
    fn the_queue_is_bounded_and_its_end_wakes_all() {
        let delegation = Delegation::default();
        run(async {
            let asked: Vec<_> = (0..CAPACITY)
                .map(|_| Box::pin(delegation.ask(request, LATE)))
                .collect();
            let mut all = futures_of(asked);
            all.poll_once().await;
            let refused = delegation.ask(request, LATE).await;
            assert!(refused.is_err(), "one too many");
            delegation.finish();
            assert!(delegation.take(LATE).is_none());
            assert!(delegation.ask(request, LATE).await.is_err(), "it is over");
        });
    }

    /// Futures that are polled together.
    struct Together<F>(Vec<std::pin::Pin<Box<F>>>);

    fn futures_of<F>(futures: Vec<std::pin::Pin<Box<F>>>) -> Together<F> {
        Together(futures)
    }

    impl<F: Future> Together<F> {
        async fn poll_once(&mut self) {
            std::future::poll_fn(|context| {
                for each in &mut self.0 {
                    assert!(each.as_mut().poll(context).is_pending());
                }
                std::task::Poll::Ready(())
            })
            .await;
        }
    }
}
