//! The listener for clients of the old cluster (UBDCC 0.9): plain HTTP, no token, the paths and answers that they
//! know.
//!
//! It serves named networks alone, and reads alone unless its owner lets it manage. Every answer of the contract has
//! status 200; `result` says what became of it. What the contract's own server got wrong is not copied:
//! `docs/how-to/old-clients.md` lists it. Reads are answered here; what begins or ends a book is the owner's.

mod all;
mod answers;
mod parameters;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use bytes::Bytes;
use depthcache_book::query::Side;
use http::{Method, StatusCode};

use self::answers::NoSide;
use self::parameters::Given;
use crate::access::{Origins, is_browser, is_forwarded};
use crate::call::json;
use crate::contract::{ENDPOINTS, Endpoint, Kind};
use crate::delegation::DelegatedRequest;
use crate::forwarding;
use crate::managing;
use crate::network::Network;
use crate::problem::{Problem, shortened};
use crate::secrets::shown_path;
use crate::shared::Shared;

/// How a listener for old clients behaves.
#[derive(Clone, Debug)]
pub struct CompatOptions {
    /// Where it listens; port 0 for any free one.
    pub address: SocketAddr,
    /// The name of the server that its clients look for: it is another one until their release 2.8.
    pub name: String,
    /// Whose connections it takes, beside those of this machine.
    pub networks: Vec<Network>,
    /// Whether its clients may begin and end books.
    pub manages: bool,
}

/// A listener for old clients.
#[derive(Debug)]
pub struct Compat {
    options: CompatOptions,
    /// Its clients are nodes, which hand answers on to old clients.
    is_for_nodes: bool,
    origins: Origins,
    address: SocketAddr,
    began: SystemTime,
}

impl Compat {
    /// `address`: where it really listens. `hosts`: names of hosts that requests may be for.
    pub fn new(options: CompatOptions, address: SocketAddr, hosts: Vec<String>) -> Compat {
        Compat {
            options,
            address,
            is_for_nodes: false,
            origins: Origins::new(hosts),
            began: SystemTime::now(),
        }
    }

    /// What nodes get of the contract: the answers about one book of this server alone. `address`: that of the server.
    pub fn for_nodes(address: SocketAddr) -> Compat {
        let options = CompatOptions {
            address,
            name: String::new(),
            networks: Vec::new(),
            manages: false,
        };
        Compat {
            is_for_nodes: true,
            ..Compat::new(options, address, Vec::new())
        }
    }

    /// Whether it takes connections of an address.
    pub fn takes(&self, address: IpAddr) -> bool {
        let mut networks = self.options.networks.iter();
        address.to_canonical().is_loopback() || networks.any(|network| network.has(address))
    }

    /// Refuse what a page makes a browser send: it must not begin books by an image tag.
    pub fn check(&self, request: &Parts) -> Result<(), Problem> {
        self.origins.check(request, false, false)?;
        let is_managing = ENDPOINTS
            .iter()
            .any(|each| each.path == request.uri.path() && each.kind == Kind::Managing);
        if !is_managing {
            return Ok(());
        }
        let headers = &request.headers;
        if is_forwarded(headers) {
            let message =
                "a proxy hands this request on; books are managed by programs of this machine";
            return Err(Problem::forbidden("foreign_address", message));
        }
        if is_browser(headers) {
            let message = "a page may have made this request; books are managed by programs";
            return Err(Problem::forbidden("foreign_site", message));
        }
        Ok(())
    }
}

type Both = (Arc<Shared>, Arc<Compat>);

/// The router of all paths of the contract.
pub fn router(shared: Arc<Shared>, compat: Arc<Compat>) -> Router {
    let mut router = Router::new();
    for (index, endpoint) in ENDPOINTS.iter().enumerate() {
        let filter = match (endpoint.takes_get, endpoint.takes_post) {
            (true, true) => MethodFilter::GET.or(MethodFilter::POST),
            (false, true) => MethodFilter::POST,
            _ => MethodFilter::GET, // and HEAD
        };
        let handler = async move |State(both): State<Both>, request: Request| {
            let response = respond(&both, endpoint, request).await;
            let (shared, _) = &both;
            shared.statistics.count_compat(index, response.status());
            response
        };
        router = router.route(endpoint.path, on(filter, handler));
    }
    router
        .fallback(no_path)
        .method_not_allowed_fallback(no_method)
        .with_state((shared, compat))
}

async fn respond(both: &Both, endpoint: &'static Endpoint, request: Request) -> Response {
    let (shared, compat) = both;
    let (parts, body) = request.into_parts();
    let given = Given::parse(parts.uri.query());
    let asked = answers::Asked::new(compat, endpoint.event, &parts, &given);
    match endpoint.kind {
        Kind::Side(side) => of_side(both, side, &asked).await,
        Kind::Cluster | Kind::List | Kind::Info if shared.lists_are_delegated() => {
            ask_owner(shared, endpoint, &asked, &parts, body).await
        }
        Kind::Cluster => json(answers::cluster(&asked, shared).await),
        Kind::List => json(answers::list(&asked, shared).await),
        Kind::Info => json(answers::info(&asked, shared)),
        Kind::All => json(all::answer(&asked, shared).await),
        Kind::Test => json(answers::test(&asked)),
        Kind::License => json(answers::license(&asked)),
        Kind::Managing if !compat.options.manages => json(answers::unmanaged(&asked)),
        Kind::Managing => ask_owner(shared, endpoint, &asked, &parts, body).await,
    }
}

/// One side of a book: of another node where that holds it, or has it in a better state.
async fn of_side((shared, compat): &Both, side: Side, asked: &answers::Asked<'_>) -> Response {
    let answer = match answers::side(asked, shared, side) {
        Ok(answer) | Err(NoSide::Wrong(answer)) => return json(answer),
        Err(NoSide::Unreadable(answer)) => answer,
    };
    if compat.is_for_nodes {
        let mut response = json(answer);
        *response.status_mut() = StatusCode::NOT_FOUND; // the next node may have a better one
        return response;
    }
    let Some((names, target)) = asked.forwarded() else {
        return json(answer);
    };
    match forwarding::old_client(shared, names, &target).await {
        Ok(None) => json(answer),
        Ok(Some(answer)) => json(answers::of_node(asked, &answer.body)),
        Err(words) => json(answers::refused(asked, "#6000", &words)),
    }
}

/// Ask the owner; its answer is one of the contract.
async fn ask_owner(
    shared: &Shared,
    endpoint: &'static Endpoint,
    asked: &answers::Asked<'_>,
    parts: &Parts,
    body: Body,
) -> Response {
    let body = match parts.method {
        Method::POST => match managing::whole(&shared.limits, &parts.headers, body).await {
            Ok(body) => body,
            Err(problem) => return json(answers::refused(asked, "#1014", problem.message())),
        },
        _ => Bytes::from(asked.given.to_json()),
    };
    let make = |number| DelegatedRequest {
        number,
        route: endpoint.name,
        exchange: String::new(),
        symbol: String::new(),
        body,
    };
    match shared.delegation.ask(make, shared.limits.delegation).await {
        Ok(answered) => json(answers::with_debug(asked, answered.body)),
        Err(problem) => json(answers::refused(asked, "#1014", problem.message())),
    }
}

async fn no_path(State((shared, _)): State<Both>, request: Request) -> Response {
    let path = shortened(&shown_path(request.uri().path()));
    let message = format!("there is nothing at {path:?} for old clients");
    let problem = Problem::new(StatusCode::NOT_FOUND, "unknown_path", message);
    counted(&shared, problem)
}

async fn no_method(State((shared, _)): State<Both>, request: Request) -> Response {
    let method = shortened(request.method().as_str());
    let message = format!("{method} is not for this path");
    let status = StatusCode::METHOD_NOT_ALLOWED;
    // axum adds the header Allow.
    counted(&shared, Problem::new(status, "method_not_allowed", message))
}

fn counted(shared: &Shared, problem: Problem) -> Response {
    use axum::response::IntoResponse as _;
    shared
        .statistics
        .count_compat(ENDPOINTS.len(), problem.status);
    problem.into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::ENDPOINTS;

    #[test]
    fn only_this_machine_and_named_networks_connect() {
        let options = CompatOptions {
            address: "0.0.0.0:0".parse().expect("an address"),
            name: "ubdcc-restapi".to_owned(),
            networks: vec!["10.0.0.0/8".parse().expect("a network")],
            manages: false,
        };
        let compat = Compat::new(options.clone(), options.address, Vec::new());
        for (address, is_taken) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("192.0.2.1", false),
            ("2001:db8::1", false),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(compat.takes(address), is_taken, "{address}");
        }
    }

    #[test]
    fn what_begins_or_ends_books_is_known_as_that() {
        let managing: Vec<&str> = ENDPOINTS
            .iter()
            .filter(|each| each.kind == Kind::Managing)
            .map(|each| each.path)
            .collect();
        assert_eq!(managing.len(), 6);
        for endpoint in ENDPOINTS.iter().filter(|each| each.takes_post) {
            assert!(managing.contains(&endpoint.path), "{}", endpoint.path);
        }
    }
}
