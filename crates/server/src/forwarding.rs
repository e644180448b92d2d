//! Reads of one book that its holders answer: of this API, of the exchange's REST, and of old clients.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use depthcache_book::query::{ReadPolicy, Reading};
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::call::Call;
use crate::cluster::{Answer, Cluster, ClusterBook, NODE, Outcome, Question};
use crate::problem::{Fact, Problem};
use crate::registry::Book;
use crate::shared::Shared;

/// What a reader gets of the head of another node's answer.
const HEADERS: [HeaderName; 4] = [
    CONTENT_TYPE,
    ETAG,
    RETRY_AFTER,
    HeaderName::from_static("x-depthcache-limit"),
];

impl Answer {
    /// The same for the reader who asked here.
    pub fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        for name in HEADERS {
            if let Some(value) = self.headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        if let Ok(node) = self.node.parse() {
            response.headers_mut().insert(NODE, node);
        }
        response
    }
}

/// Whether a book can be read now, and is not too old.
fn is_fresh(book: &Book, policy: ReadPolicy) -> bool {
    let fresh = ReadPolicy {
        serve_stale: false,
        ..policy
    };
    book.look(|market| fresh.check(market, || book.now_ns()).is_ok())
}

/// The answer of a holder to a read of one book; None where this server answers itself: it holds the book in a state
/// that can be read, or in a better one than the holders.
pub async fn one_book(call: &Call<'_>) -> Result<Option<Response>, Problem> {
    let Some(cluster) = call.cluster() else {
        return Ok(None);
    };
    let registry = &call.shared.registry;
    let exchange = registry.exchange(call.path("exchange"));
    let symbol = call.path("symbol");
    let Some(held) = cluster.holders.find(&exchange, symbol) else {
        return Ok(None);
    };
    let own = registry.find(Some(&exchange), symbol, false).ok();
    let patience = call.query.patience()?;
    if own
        .as_ref()
        .is_some_and(|own| is_fresh(own, patience.policy))
    {
        return Ok(None);
    }
    let path = call.request.uri.path();
    let mut question = Question {
        target: target(path, &call.query.without(&["on_stale", "wait_s"])),
        headers: HeaderMap::new(),
        most: Question::USUAL,
        may_be_bad: true,
    };
    if let Some(tags) = call.request.headers.get(IF_NONE_MATCH) {
        question.headers.insert(IF_NONE_MATCH, tags.clone());
    }
    let mut outcome = cluster
        .ask(std::slice::from_ref(&held), &held.holders, &question)
        .await;
    if let Outcome::Answered(answer) = outcome {
        return Ok(Some(answer.into_response()));
    }
    // No replica is current.
    let has_levels = |own: &Book| own.look(|market| market.last_update_id().is_some());
    if own
        .as_ref()
        .is_some_and(|own| !patience.policy.serve_stale || has_levels(own))
    {
        return Ok(None);
    }
    if patience.policy.serve_stale || patience.most.is_some() {
        question.target = target(path, &call.query.without(&[]));
        question.most += patience.most.unwrap_or(Duration::ZERO);
        outcome = cluster
            .ask(std::slice::from_ref(&held), &held.holders, &question)
            .await;
    }
    match outcome {
        Outcome::Answered(answer) | Outcome::Refused(answer) => Ok(Some(answer.into_response())),
        Outcome::Silent(why) => Err(unanswered(&held, &why)),
    }
}

/// No holder answered.
pub fn unanswered(held: &ClusterBook, why: &[String]) -> Problem {
    let nodes: Vec<String> = held
        .holders
        .iter()
        .map(|holder| holder.node.to_string())
        .collect();
    let mut message = format!(
        "no node that holds {} on {} answers",
        held.symbol, held.exchange
    );
    if !why.is_empty() {
        message = format!("{message}: {}", why.join("; "));
    }
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "no_holder_answers",
        message,
    )
    .text("exchange", &*held.exchange)
    .text("symbol", &*held.symbol)
    .fact("holders", Fact::Texts(nodes))
    .retry_after(1)
}

fn target(path: &str, query: &str) -> String {
    match query.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{query}"),
    }
}

/// The answer of a holder to a request that has no parameter for books that are not current; None where this server
/// answers itself.
async fn current(
    shared: &Shared,
    cluster: &Cluster,
    (exchange, symbol): (&str, &str),
    target: impl FnOnce() -> String,
) -> Result<Option<Answer>, String> {
    let exchange = shared.registry.exchange(exchange);
    let Some(held) = cluster.holders.find(&exchange, symbol) else {
        return Ok(None);
    };
    let own = shared.registry.find(Some(&exchange), symbol, false).ok();
    if own
        .as_ref()
        .is_some_and(|own| is_fresh(own, ReadPolicy::default()))
    {
        return Ok(None);
    }
    let question = Question {
        target: target(),
        headers: HeaderMap::new(),
        most: Question::USUAL,
        may_be_bad: false,
    };
    match cluster
        .ask(std::slice::from_ref(&held), &held.holders, &question)
        .await
    {
        Outcome::Answered(answer) => Ok(Some(answer)),
        _ if own.is_some() => Ok(None),
        Outcome::Refused(_) => Err(format!(
            "no node has {} of {} in a state that can be read now",
            held.symbol, held.exchange
        )),
        Outcome::Silent(why) => Err(unanswered(&held, &why).words().to_owned()),
    }
}

/// A depth snapshot of the exchange's REST. Err: why there is none now, for people.
pub async fn depth(
    shared: &Shared,
    (exchange, symbol): (&str, &str),
    path: &str,
    limit: usize,
) -> Result<Option<Response>, String> {
    let Some(cluster) = &shared.cluster else {
        return Ok(None);
    };
    let target = || {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("symbol", symbol);
        query.append_pair("limit", &limit.to_string());
        format!("/{exchange}{path}?{}", query.finish())
    };
    let answer = current(shared, cluster, (exchange, symbol), target).await?;
    Ok(answer.map(Answer::into_response))
}

/// An answer of the contract for old clients, whose holder answers it under `/compat`. Err: why there is none now.
pub async fn old_client(
    shared: &Shared,
    names: (&str, &str),
    target: &str,
) -> Result<Option<Answer>, String> {
    let Some(cluster) = &shared.cluster else {
        return Ok(None);
    };
    current(shared, cluster, names, || format!("/compat{target}")).await
}
