//! What every request passes: whether its host and origin are ours, and whether its sender sends too many.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body::Body as _;
use hyper::body::Incoming;
use tower_service::Service;

use crate::access::take_key;
use crate::access_log;
use crate::cluster::NODE;
use crate::compat::Compat;
use crate::problem::Problem;
use crate::sender::Sender;
use crate::shared::{ProtocolRequest, Shared};
use crate::table::{FOLLOWING, JOINING, ROUTES};

/// What a listener leads to.
#[derive(Clone)]
pub struct Entry {
    pub router: Router,
    /// Where its clients are old ones.
    pub compat: Option<Arc<Compat>>,
    /// The paths of old clients, for nodes that were asked for a book which is here.
    pub compat_of_nodes: Option<Router>,
}

/// A request, without the key that came in its path.
struct Keyless {
    parts: Parts,
    body: Incoming,
    key: Option<String>,
}

/// Answer one request, and log it where the owner wants that; it cannot fail.
pub async fn respond(
    shared: Arc<Shared>,
    sender: Sender,
    entry: Entry,
    request: Request<Incoming>,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let key = take_key(&mut parts);
    let Some(log) = &shared.access_log else {
        let request = Keyless { parts, body, key };
        return answer(shared, sender, entry, request).await;
    };
    let began = Instant::now();
    let (method, uri) = (parts.method.clone(), parts.uri.clone());
    let role = shared.tokens.role(&parts.headers).max(sender.role());
    let address = sender.address;
    let has_key = key.is_some();
    let request = Keyless { parts, body, key };
    let response = answer(shared.clone(), sender, entry, request).await;
    log.log(&access_log::Entry {
        peer: address,
        method: &method,
        uri: &uri,
        has_key,
        role,
        status: response.status(),
        bytes: response.body().size_hint().exact(),
        took: began.elapsed(),
    });
    response
}

async fn answer(
    shared: Arc<Shared>,
    sender: Sender,
    mut entry: Entry,
    Keyless {
        mut parts,
        body,
        key,
    }: Keyless,
) -> Response {
    let is_own = entry.compat.is_none(); // old clients are admitted by other rules
    let protocol = shared
        .exchange
        .as_ref()
        .filter(|protocol| is_own && protocol.takes(parts.uri.path()));
    let protocol = protocol.cloned();
    let is_page = is_own && shared.documents.contains_key(parts.uri.path());
    let checked = match &entry.compat {
        _ if sender.is_node() => Ok(()), // no browser has its certificate
        None => shared.origins.check(&parts, is_page, sender.is_tls),
        Some(compat) => compat.check(&parts),
    };
    let admitted = checked
        .and_then(|()| admit(&shared, &sender))
        .and_then(|()| {
            match is_own && JOINING.contains(&parts.uri.path()) && !sender.peer.may_join() {
                true => Err(too_many(
                    "than a few requests to join a second from this address",
                    1,
                )),
                false => Ok(()),
            }
        });
    let for_old = old_path(&mut parts, &sender);
    let cluster = shared.cluster.clone();
    let mut response = match (admitted, protocol) {
        (Ok(()), Some(protocol)) => {
            let shared = shared.clone();
            let request = ProtocolRequest {
                shared,
                parts,
                sender,
                key,
            };
            protocol.answer(request).await
        }
        (Ok(()), None) if key.is_none() => {
            if is_own && (sender.is_node() || FOLLOWING.contains(&parts.uri.path())) {
                parts.extensions.insert(sender);
            }
            let request = Request::from_parts(parts, Body::new(body));
            let router = match &mut entry.compat_of_nodes {
                Some(router) if for_old => router,
                _ => &mut entry.router,
            };
            // The router never waits to be ready and never fails.
            match router.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
        (admitted, _) => {
            let nothing = "there is nothing at this path: it must begin with /k/<key>/<exchange>/";
            let nothing = Problem::new(StatusCode::NOT_FOUND, "unknown_path", nothing);
            let problem = admitted.err().unwrap_or(nothing);
            shared.statistics.count(ROUTES.len(), problem.status);
            problem.into_response()
        }
    };
    secure(response.headers_mut(), is_page);
    if let Some(cluster) = cluster {
        let node = response.headers_mut().entry(NODE);
        node.or_insert_with(|| cluster.header.clone());
    }
    response
}

/// Whether a node asks for what old clients get; the path is then that of old clients.
fn old_path(parts: &mut Parts, sender: &Sender) -> bool {
    let path = parts.uri.path_and_query().filter(|_| sender.is_node());
    let rest = path.and_then(|path| path.as_str().strip_prefix("/compat/"));
    let Some(rest) = rest.and_then(|rest| Uri::try_from(format!("/{rest}")).ok()) else {
        return false;
    };
    parts.uri = rest;
    true
}

/// Nodes only hand on what passed their own limits.
fn admit(shared: &Shared, sender: &Sender) -> Result<(), Problem> {
    if sender.is_node() {
        return Ok(());
    }
    match sender.peer.take_turn(shared.limits.requests_per_second) {
        Ok(()) => Ok(()),
        Err(wait_s) => {
            let most = shared.limits.requests_per_second;
            let what = format!("than {most} requests a second from this address");
            Err(too_many(&what, wait_s))
        }
    }
}

fn too_many(what: &str, wait_s: u32) -> Problem {
    let message = format!("more {what}");
    let status = StatusCode::TOO_MANY_REQUESTS;
    Problem::new(status, "too_many_requests", message).retry_after(wait_s)
}

/// Nothing is cached unasked, guessed, framed or run inline; what is no page runs nothing.
fn secure(headers: &mut HeaderMap, is_page: bool) {
    const PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
    const DATA: &str = "default-src 'none'; frame-ancestors 'none'";
    let policy = if is_page { PAGE } else { DATA };
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    for (name, value) in [
        (CACHE_CONTROL, "no-cache"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_page {
        // A window that opened the page cannot control it, and browsers without sec-fetch-site cannot embed its files.
        for name in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
            let value = HeaderValue::from_static("same-origin");
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}
