//! Reads of one book that other nodes answer: in this API, the REST of the exchange, and the contract of old clients.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use depthcache_book::query::Reading;
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::call::Call;
use crate::cluster::{Answer, Cluster, ClusterBook, NODE, Outcome, Question};
use crate::problem::{Fact, Problem};
use crate::registry::Book;
use crate::shared::Shared;
use crate::waiting::Patience;

/// The parameters for books that are not current.
const STALE: [&str; 2] = ["on_stale", "wait_s"];

/// The part of the head of another node's answer that the reader gets.
const HEADERS: [HeaderName; 4] = [
    CONTENT_TYPE,
    ETAG,
    RETRY_AFTER,
    HeaderName::from_static("x-depthcache-limit"),
];

impl Answer {
    /// The same for the reader that asked this node.
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

/// A read of one book of the cluster.
pub struct OneBook<'a> {
    cluster: &'a Cluster,
    held: Arc<ClusterBook>,
    own: Option<Book>,
    patience: Patience,
}

impl<'a> OneBook<'a> {
    /// None for a book of this server alone.
    pub fn of(call: &'a Call<'_>) -> Result<Option<OneBook<'a>>, Problem> {
        let Some(cluster) = call.cluster() else {
            return Ok(None);
        };
        let registry = &call.shared.registry;
        let exchange = registry.exchange(call.path("exchange"));
        let symbol = call.path("symbol");
        let Some(held) = cluster.holders.find(&exchange, symbol) else {
            return Ok(None);
        };
        Ok(Some(OneBook {
            cluster,
            held,
            own: registry.find(Some(&exchange), symbol, false).ok(),
            patience: call.query.patience()?,
        }))
    }

    /// The call that reads this server's own replica if it is current. It looks at it once, so that nothing can happen
    /// between a look and the read: where it `gives_way`, holders are asked. None without a replica.
    pub fn of_own<'b>(&self, call: &Call<'b>) -> Option<Call<'b>> {
        self.own.as_ref()?;
        Some(Call {
            shared: call.shared,
            request: call.request,
            query: call.query.dropping(&STALE),
            path: call.path.clone(),
        })
    }

    /// Whether another replica may be in a better state than the one that this is said of.
    pub fn gives_way(why: &Problem) -> bool {
        matches!(why.status.as_u16(), 404 | 410 | 425)
    }

    /// The answer of a holder; None where this server's replica, which is not current, is as good as theirs.
    pub async fn ask(self, call: &Call<'_>) -> Result<Option<Response>, Problem> {
        let (cluster, held, own) = (self.cluster, self.held, self.own);
        let path = call.request.uri.path();
        let mut question = Question {
            target: target(path, &call.query.without(&STALE)),
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
        let serves_stale = self.patience.policy.serve_stale;
        let has_levels = |own: &Book| own.look(|market| market.last_update_id().is_some());
        if own
            .as_ref()
            .is_some_and(|own| !serves_stale || has_levels(own))
        {
            return Ok(None);
        }
        if serves_stale || self.patience.most.is_some() {
            question.target = target(path, &call.query.without(&[]));
            question.most += self.patience.most.unwrap_or(Duration::ZERO);
            outcome = cluster
                .ask(std::slice::from_ref(&held), &held.holders, &question)
                .await;
        }
        match outcome {
            Outcome::Answered(answer) | Outcome::Refused(answer) => {
                Ok(Some(answer.into_response()))
            }
            Outcome::Silent(why) => Err(unanswered(&held, &why)),
        }
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

/// The answer of a holder to a request that has no parameter for books that are not current; None for a book of this
/// server alone, or where no holder has a better replica. The caller has tried this server's own.
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
        _ if shared.registry.find(Some(&exchange), symbol, false).is_ok() => Ok(None),
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
