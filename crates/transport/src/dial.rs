//! Open a TCP connection to a host by any of its addresses.
//!
//! All addresses are tried, alternating between the families: the next attempt starts 250 ms after the last
//! one, or at once when the last running one has failed (Happy Eyeballs, RFC 8305, sections 4 and 5). An
//! address whose connections did not become usable is tried last for a while.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep_until, timeout_at};

/// The Connection Attempt Delay that RFC 8305, section 8, recommends.
const STAGGER: Duration = Duration::from_millis(250);

/// How long an address is tried last after a useless connection to it.
const DOUBT: Duration = Duration::from_secs(300);

/// Most doubtful addresses to remember.
const MOST_DOUBTS: usize = 64;

/// Most attempts that an error lists.
const MOST_NAMED: usize = 8;

/// The addresses of host names, and which of them to try last.
#[derive(Debug, Default)]
pub struct Addresses {
    given: HashMap<String, Vec<IpAddr>>,
    doubted: RefCell<Vec<(SocketAddr, Instant)>>,
}

impl Addresses {
    /// `given`: addresses of names that are not looked up, for tests.
    pub fn new(given: HashMap<String, Vec<IpAddr>>) -> Addresses {
        Addresses {
            given,
            doubted: RefCell::default(),
        }
    }

    /// Connect to a host name or address before the deadline. The error is a message for people.
    pub async fn dial(
        &self,
        host: &str,
        port: u16,
        deadline: Instant,
    ) -> Result<(TcpStream, SocketAddr), String> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let began = Instant::now();
        let found = match self.given.get(bare) {
            Some(given) => Ok(given.iter().map(|ip| SocketAddr::new(*ip, port)).collect()),
            None => look_up(bare, port, deadline).await,
        };
        let found = found.map_err(|why| format!("the name {bare} could not be resolved: {why}"))?;
        let ordered = self.order(found);
        race(&ordered, TcpStream::connect, deadline)
            .await
            .map_err(|tried| tried.describe(bare, began))
    }

    /// Mark an address as doubtful: a connection to it did not become usable.
    pub fn doubt(&self, address: SocketAddr) {
        let mut doubted = self.doubted.borrow_mut();
        doubted.retain(|(other, _)| *other != address);
        if doubted.len() >= MOST_DOUBTS {
            doubted.remove(0);
        }
        doubted.push((address, Instant::now()));
    }

    /// Clear the doubt about an address: a connection to it works.
    pub fn trust(&self, address: SocketAddr) {
        self.doubted
            .borrow_mut()
            .retain(|(other, _)| *other != address);
    }

    /// The addresses in the order of the attempts: alternating families, starting with the first address;
    /// doubtful ones last, the oldest failure first.
    fn order(&self, found: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let mut ordered = interleave(found);
        let now = Instant::now();
        let mut doubted = self.doubted.borrow_mut();
        doubted.retain(|(_, since)| now.duration_since(*since) < DOUBT);
        ordered.sort_by_key(|address| doubted.iter().position(|(other, _)| other == address));
        ordered
    }
}

async fn look_up(host: &str, port: u16, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<_> = timeout_at(deadline, lookup_host((host, port)))
        .await
        .map_err(|_| io::Error::other("the resolver timed out"))??
        .collect();
    if found.is_empty() {
        return Err(io::Error::other("it has no address"));
    }
    Ok(found)
}

fn interleave(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut unique = Vec::with_capacity(found.len());
    for address in found {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    let first_is_v6 = unique.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = unique
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::new();
    loop {
        let pair = (first.next(), second.next());
        ordered.extend(pair.0.into_iter().chain(pair.1));
        if pair == (None, None) {
            return ordered;
        }
    }
}

/// The error of each address; None if there was no response in time.
#[derive(Debug)]
struct Attempts(Vec<(SocketAddr, Option<io::Error>)>);

impl Attempts {
    fn describe(&self, host: &str, began: Instant) -> String {
        let waited = began.elapsed().as_secs_f64();
        let mut named: Vec<String> = self.0[..self.0.len().min(MOST_NAMED)]
            .iter()
            .map(|(address, why)| match why {
                Some(why) => format!("{address}: {why}"),
                None => format!("{address}: no response within {waited:.1} s"),
            })
            .collect();
        if self.0.len() > MOST_NAMED {
            named.push(format!("and {} more addresses", self.0.len() - MOST_NAMED));
        }
        format!("no connection to {host}: {}", named.join("; "))
    }
}

/// The first of the staggered attempts that succeeds.
async fn race<T, F, Attempt>(
    addresses: &[SocketAddr],
    attempt: F,
    deadline: Instant,
) -> Result<(T, SocketAddr), Attempts>
where
    F: Fn(SocketAddr) -> Attempt,
    Attempt: Future<Output = io::Result<T>>,
{
    let mut waiting = addresses.iter().copied();
    let mut running: Vec<(SocketAddr, Pin<Box<Attempt>>)> = Vec::new();
    let mut failed = Vec::new();
    let mut next_at = Instant::now();
    loop {
        if (running.is_empty() || Instant::now() >= next_at)
            && let Some(address) = waiting.next()
        {
            running.push((address, Box::pin(attempt(address))));
            next_at = Instant::now() + STAGGER;
        }
        if running.is_empty() {
            return Err(Attempts(failed));
        }
        let more = waiting.len() > 0;
        tokio::select! {
            biased;
            (index, result) = first_done(&mut running) => {
                let (address, _) = running.remove(index);
                match result {
                    Ok(stream) => return Ok((stream, address)),
                    Err(why) => failed.push((address, Some(why))),
                }
                next_at = Instant::now();
            }
            () = sleep_until(deadline) => {
                failed.extend(running.into_iter().map(|(address, _)| (address, None)));
                return Err(Attempts(failed));
            }
            () = sleep_until(next_at), if more => {}
        }
    }
}

async fn first_done<A, T, Attempt: Future<Output = io::Result<T>>>(
    running: &mut [(A, Pin<Box<Attempt>>)],
) -> (usize, io::Result<T>) {
    poll_fn(|cx| {
        for (index, (_, attempt)) in running.iter_mut().enumerate() {
            if let Poll::Ready(result) = attempt.as_mut().poll(cx) {
                return Poll::Ready((index, result));
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;

    use tokio::time::sleep;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| address(text)).collect()
    }

    fn in_20_s() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn families_alternate_beginning_with_the_first() {
        let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "[::1]:1"]);
        let ordered = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]);
        assert_eq!(interleave(found), ordered);
        assert_eq!(interleave(Vec::new()), Vec::new());
    }

    #[tokio::test(start_paused = true)]
    async fn a_black_hole_costs_one_stagger_whatever_its_family() {
        for hole in ["1.1.1.1:1", "[::1]:1"] {
            let both = addresses(&[hole, "1.1.1.2:1"]);
            let began = Instant::now();
            let attempt = async |to: SocketAddr| {
                if to == both[0] {
                    pending::<()>().await;
                }
                Ok(to)
            };
            let (stream, winner) = race(&both, attempt, in_20_s()).await.expect("a connection");
            assert_eq!((stream, winner), (both[1], both[1]));
            assert_eq!(began.elapsed(), STAGGER);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_starts_the_next_attempt_at_once() {
        let all = addresses(&["1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1"]);
        let began = Instant::now();
        let attempt = async |to: SocketAddr| {
            if to == all[2] {
                Ok(())
            } else {
                Err(io::Error::from(io::ErrorKind::ConnectionRefused))
            }
        };
        let (_, winner) = race(&all, attempt, in_20_s()).await.expect("a connection");
        assert_eq!((winner, began.elapsed()), (all[2], Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_address_still_wins_over_a_dead_second() {
        let both = addresses(&["1.1.1.1:1", "1.1.1.2:1"]);
        let attempt = async |to: SocketAddr| {
            if to == both[1] {
                pending::<()>().await;
            }
            sleep(Duration::from_secs(3)).await;
            Ok(())
        };
        let (_, winner) = race(&both, attempt, in_20_s()).await.expect("a connection");
        assert_eq!(winner, both[0]);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_start_a_quarter_of_a_second_apart() {
        let all = addresses(&["1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1", "1.1.1.4:1"]);
        let (began, starts) = (Instant::now(), RefCell::new(Vec::new()));
        let attempt = |_| {
            starts.borrow_mut().push(began.elapsed().as_millis());
            pending::<io::Result<()>>()
        };
        let tried = race(&all, attempt, in_20_s()).await.expect_err("no answer");
        assert_eq!(*starts.borrow(), [0, 250, 500, 750]);
        assert_eq!(began.elapsed(), Duration::from_secs(20));
        let text = tried.describe("host", began);
        assert!(text.starts_with(
            "no connection to host: 1.1.1.1:1: no response within 20.0 s; 1.1.1.2:1: "
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn the_error_names_each_address_and_what_it_said() {
        let all = addresses(&["1.1.1.1:1", "[::1]:1"]);
        let attempt = async |to: SocketAddr| {
            if to.is_ipv6() {
                pending::<()>().await;
            }
            Err::<(), _>(io::Error::other("refused, sorry"))
        };
        let began = Instant::now();
        let tried = race(&all, attempt, in_20_s())
            .await
            .expect_err("no connection");
        assert_eq!(
            tried.describe("host", began),
            "no connection to host: 1.1.1.1:1: refused, sorry; [::1]:1: no response within 20.0 s"
        );
        let many: Vec<_> = (1..=9)
            .map(|port| SocketAddr::new(all[0].ip(), port))
            .collect();
        let refuse = async |_| Err::<(), _>(io::Error::other("no"));
        let tried = race(&many, refuse, in_20_s())
            .await
            .expect_err("no connection");
        assert!(
            tried
                .describe("host", began)
                .ends_with("1.1.1.1:8: no; and 1 more addresses")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_was_of_no_use_is_tried_last_for_a_while() {
        let known = Addresses::default();
        let all = addresses(&["1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1"]);
        known.doubt(all[0]);
        known.doubt(all[1]);
        assert_eq!(known.order(all.clone()), [all[2], all[0], all[1]]);
        known.trust(all[1]);
        assert_eq!(known.order(all.clone()), [all[1], all[2], all[0]]);
        sleep(DOUBT).await;
        assert_eq!(known.order(all.clone()), all);
        for port in 0..100 {
            known.doubt(SocketAddr::new(all[0].ip(), port));
        }
        assert_eq!(known.doubted.borrow().len(), MOST_DOUBTS);
    }
}
