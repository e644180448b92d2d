//! What all connections of a server share.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::response::Response;
use bytes::Bytes;
use depthcache_wire::writer::string;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH, VARY,
};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::access::{Origins, Tokens};
use crate::access_log::AccessLog;
use crate::cluster::Cluster;
use crate::delegation::Delegation;
use crate::joining::Joining;
use crate::limits::Limits;
use crate::peers::Peers;
use crate::registry::{Book, Registry};
use crate::sender::Sender;
use crate::statistics::Statistics;
use crate::views::Backlog;
use crate::waiting::Waiting;

/// What all connections share.
pub struct Shared {
    pub registry: Registry,
    pub tokens: Tokens,
    pub origins: Origins,
    pub documents: HashMap<String, Document>,
    pub limits: Limits,
    pub statistics: Statistics,
    pub peers: Peers,
    pub delegation: Delegation,
    pub joining: Joining,
    pub waiting: Waiting,
    pub backlog: Arc<Backlog>,
    /// None where nobody asked for it.
    pub access_log: Option<AccessLog>,
    /// What the owner adds to the metrics.
    pub metrics: RwLock<Bytes>,
    /// Versions of the program: the running one and the installed one; None before the owner has set them.
    pub versions: RwLock<Option<(String, String)>>,
    /// None for the books of a live exchange.
    pub recording_has_ended: RwLock<Option<bool>>,
    pub is_draining: AtomicBool,
    /// Whether the owner lists the books for old clients: those of a whole cluster.
    pub has_delegated_lists: AtomicBool,
    /// The exchange's own protocol; None where it is not spoken.
    pub exchange: Option<Arc<dyn Protocol>>,
    /// None for a server that is no node.
    pub cluster: Option<Arc<Cluster>>,
    /// Turns true when the server ends.
    pub ending: watch::Sender<bool>,
    /// What tells this server from others, and from itself before a restart.
    pub instance: Arc<str>,
}

impl Shared {
    /// The name under which readers resume. It changes when a book is removed or replaced, because another book of the
    /// same name might write its levels otherwise. To be taken before a book is joined.
    pub fn name(&self) -> Arc<str> {
        format!("{}.{}", self.instance, self.registry.departures()).into()
    }

    /// Whether the owner lists the books for old clients.
    pub fn lists_are_delegated(&self) -> bool {
        self.has_delegated_lists.load(Ordering::Acquire)
    }

    /// Say in an object of JSON, as its last fact, which node it is from.
    pub fn sign(&self, body: &mut Vec<u8>) {
        if let Some(cluster) = &self.cluster
            && body.pop().is_some()
        {
            body.extend_from_slice(b",\"node\":");
            string(body, &cluster.node);
            body.push(b'}');
        }
    }

    /// Whether it is a node of a cluster, as far as its books tell.
    pub fn is_node(&self) -> bool {
        self.cluster.is_some() || self.registry.has_followed()
    }

    /// Whether the server ends.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }
}

/// A protocol beside the server's own, found by the path of a request.
pub trait Protocol: Send + Sync {
    /// Whether it answers requests for this path.
    fn takes(&self, path: &str) -> bool;

    /// Answer a request.
    fn answer(self: Arc<Self>, request: ProtocolRequest) -> Answered;

    /// A node serves a book from now on. Called inside the runtime.
    fn on_held(&self, shared: &Shared, book: &Book);

    /// A book is served no longer.
    fn on_gone(&self, book: &Book);

    /// A node's own book takes the place of a followed one by `swap`. False, and nothing is done, where the readers of
    /// the followed one would miss updates or get some twice.
    fn take_over(&self, followed: &Book, own: &Book, swap: &dyn Fn()) -> bool;

    /// Connections that follow a book.
    fn readers(&self, exchange: &str, symbol: &str) -> usize;

    /// A book is served here for its readers alone: tell those that can move where the holders are.
    fn tell_holders(&self, exchange: &str, symbol: &str, addresses: &[Arc<str>]);
}

/// The response to a request, in time.
pub type Answered = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A request of another protocol than the server's own; such requests have no body.
pub struct ProtocolRequest {
    pub shared: Arc<Shared>,
    pub parts: Parts,
    /// Who sent it.
    pub sender: Sender,
    /// What came as a prefix of its path, `/k/<key>`.
    pub key: Option<String>,
}

/// A constant file that is served to everybody who can connect.
#[derive(Clone, Debug)]
pub struct Document {
    kind: HeaderValue,
    body: Bytes,
    gzip: Option<Bytes>,
    tag: HeaderValue,
}

impl Document {
    /// A file with its media type, and the same compressed.
    pub fn new(kind: HeaderValue, body: Bytes, gzip: Option<Bytes>) -> Document {
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let tag = format!("W/\"{:016x}\"", hasher.finish()); // weak: it is sent in two encodings
        let tag = HeaderValue::from_str(&tag).expect("it is ASCII");
        Document {
            kind,
            body,
            gzip,
            tag,
        }
    }

    /// The file, without a body if the sender has it.
    pub(crate) fn respond(&self, headers: &HeaderMap) -> Response {
        let mut response = Response::default();
        if is_known(headers, &self.tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            let gzip = self.gzip.as_ref().filter(|_| takes_gzip(headers));
            *response.body_mut() = gzip.unwrap_or(&self.body).clone().into();
            let found = response.headers_mut();
            found.insert(CONTENT_TYPE, self.kind.clone());
            if gzip.is_some() {
                found.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        let found = response.headers_mut();
        found.insert(ETAG, self.tag.clone());
        if self.gzip.is_some() {
            found.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        response
    }
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().any(|header| {
        let text = header.to_str().unwrap_or_default();
        text.split(',').any(|each| {
            let (name, weight) = each.split_once(';').unwrap_or((each, ""));
            let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
            name.trim().eq_ignore_ascii_case("gzip") && weight.parse().unwrap_or(0.0) > 0.0
        })
    })
}

/// Whether the sender has what this tag names.
pub(crate) fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().any(|header| {
        let mut tags = header.as_bytes().split(|byte| *byte == b',');
        tags.any(|each| each.trim_ascii() == tag.as_bytes())
    })
}
