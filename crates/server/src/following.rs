//! Books of the cluster that readers follow here although this node does not hold them: the owner begins them, once for
//! all readers, and readers wait for that, never for long.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::StatusCode;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::cluster::{Cluster, ClusterBook, Followed};
use crate::delegation::DelegatedRequest;
use crate::parameters::Pattern;
use crate::problem::{Fact, Problem};
use crate::registry::Book;
use crate::shared::Shared;

/// Books that one subscription may begin here by patterns.
const MOST: usize = 1_000;

/// The books of a subscription that must be begun here first. `given`: names and patterns; others than those of books of
/// the cluster are no business of this. `has_levels`: whether levels are wanted: patterns for states alone begin no books.
pub fn unfollowed(
    shared: &Shared,
    given: &[String],
    has_levels: bool,
) -> Result<Vec<Arc<ClusterBook>>, Problem> {
    let Some(cluster) = shared.cluster.as_ref().filter(|_| given.len() <= MOST) else {
        return Ok(Vec::new());
    };
    let mut found: HashMap<(Arc<str>, Arc<str>), Arc<ClusterBook>> = HashMap::new();
    for text in given {
        let (exchange, symbol) = match text.split_once('/') {
            Some((exchange, symbol)) => (Some(shared.registry.exchange(exchange)), symbol),
            None => (None, text.as_str()),
        };
        let meant = match (Pattern::is_in(text), &exchange) {
            (true, _) if !has_levels => Vec::new(),
            (true, exchange) => matching(cluster, exchange.as_deref(), symbol),
            (false, Some(exchange)) => cluster.holders.find(exchange, symbol).into_iter().collect(),
            (false, None) => {
                let all = cluster.holders.of_symbol(symbol);
                // Held here on another exchange, or on several: the subscription says that it is ambiguous.
                let is_one = all.len() == 1 && shared.registry.find(None, symbol, false).is_err();
                if is_one { all } else { Vec::new() }
            }
        };
        for book in meant {
            if !is_here(shared, &book) {
                found.insert((book.exchange.clone(), book.symbol.clone()), book);
            }
        }
    }
    if found.len() > MOST {
        let message = format!(
            "the patterns name {} books that other nodes hold; a subscription may begin {MOST} of them here: \
             name fewer, or subscribe at their holders",
            found.len()
        );
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_books", message);
        return Err(problem.fact("most", Fact::Integer(Some(MOST as i64))));
    }
    Ok(found.into_values().collect())
}

fn matching(cluster: &Cluster, exchange: Option<&str>, symbol: &str) -> Vec<Arc<ClusterBook>> {
    let parse = |text: &str| Pattern::parse("symbols", text).ok();
    let Some(symbol) = parse(symbol) else {
        return Vec::new(); // the subscription refuses it
    };
    let exchange = exchange.and_then(parse);
    let mut all = cluster.holders.all();
    all.retain(|book| {
        symbol.matches(&book.symbol)
            && exchange
                .as_ref()
                .is_none_or(|exchange| exchange.matches(&book.exchange))
    });
    all
}

fn is_here(shared: &Shared, book: &ClusterBook) -> bool {
    let found = shared
        .registry
        .find(Some(&book.exchange), &book.symbol, false);
    found.is_ok()
}

/// Have books begun here; the first problem, where there is one.
pub async fn follow_all(shared: &Arc<Shared>, books: Vec<Arc<ClusterBook>>) -> Result<(), Problem> {
    /// Beyond the time that the owner has for one of them.
    const MORE: Duration = Duration::from_secs(5);
    let most = shared.limits.delegation + MORE;
    let mut running: FuturesUnordered<_> =
        books.into_iter().map(|book| follow(shared, book)).collect();
    let all = async {
        while let Some(done) = running.next().await {
            done?;
        }
        Ok(())
    };
    timeout(most, all).await.unwrap_or_else(|_| {
        let message = format!(
            "the books could not all be begun within {} s",
            most.as_secs_f64()
        );
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Err(Problem::new(status, "not_followed", message).retry_after(1))
    })
}

/// Have a book begun here: the book.
pub async fn follow(shared: &Arc<Shared>, wanted: Arc<ClusterBook>) -> Result<Book, Problem> {
    let here = || {
        let registry = &shared.registry;
        registry.find(Some(&wanted.exchange), &wanted.symbol, false)
    };
    if let Ok(book) = here() {
        return Ok(book);
    }
    let Some(cluster) = &shared.cluster else {
        return Err(refused(&wanted, "this server is no node"));
    };
    let mut done = begin(shared, cluster, &wanted);
    let result = done.wait_for(Option::is_some).await;
    match result.as_deref() {
        Ok(Some(Err(why))) => Err(why.clone()),
        Ok(_) => here().map_err(|_| refused(&wanted, "its owner did not begin it")),
        Err(_) => Err(refused(&wanted, "the server is shutting down")),
    }
}

/// Ask the owner, unless that runs already.
fn begin(
    shared: &Arc<Shared>,
    cluster: &Arc<Cluster>,
    wanted: &Arc<ClusterBook>,
) -> watch::Receiver<Followed> {
    let name = (wanted.exchange.clone(), wanted.symbol.clone());
    let sender = match cluster.follows.begin(name.clone()) {
        Ok(sender) => sender,
        Err(running) => return running,
    };
    let receiver = sender.subscribe();
    let (shared, cluster, wanted) = (shared.clone(), cluster.clone(), wanted.clone());
    tokio::spawn(async move {
        let result = ask_owner(&shared, &cluster, &wanted).await;
        cluster.follows.end(&name);
        let _ = sender.send(Some(result));
    });
    receiver
}

async fn ask_owner(
    shared: &Shared,
    cluster: &Cluster,
    wanted: &ClusterBook,
) -> Result<(), Problem> {
    let _turn = cluster.follows.turns.acquire().await;
    let make = |number| DelegatedRequest {
        number,
        route: "follow",
        exchange: wanted.exchange.to_string(),
        symbol: wanted.symbol.to_string(),
        body: Bytes::new(),
    };
    let answered = shared
        .delegation
        .ask(make, shared.limits.delegation)
        .await?;
    match answered.status {
        200 | 201 => Ok(()),
        status => Err(refused(wanted, &format!("its owner answers {status}"))),
    }
}

fn refused(wanted: &ClusterBook, why: &str) -> Problem {
    let message = format!(
        "{} on {} is held by other nodes and cannot be followed here now: {why}",
        wanted.symbol, wanted.exchange
    );
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_followed", message)
        .text("exchange", &*wanted.exchange)
        .text("symbol", &*wanted.symbol)
        .retry_after(1)
}
