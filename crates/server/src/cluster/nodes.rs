//! Requests to other nodes, over kept-alive connections; the certificate of each must name the intended node.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::{Mutex, RwLock};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::holders::Holder;
use super::identity::{Authority, Credentials, client_config};
use super::silence::{self, LATE, NO_ADDRESS, STOPPED, TOO_LONG};
use crate::certificate::Certificate;

/// For so long, a node that did not answer in time is asked after the others.
const DOUBTED: Duration = Duration::from_secs(1);

/// A node that is not there any more is forgotten after so long without a request.
const UNUSED: Duration = Duration::from_secs(300);

/// A read for other nodes; reads have no body.
#[derive(Debug)]
pub struct Question {
    /// Path and query.
    pub target: String,
    pub headers: HeaderMap,
    /// How long to wait for the head of the answer.
    pub most: Duration,
    /// Whether an invalid request was not noticed before: then every node would refuse it.
    pub may_be_bad: bool,
}

impl Question {
    /// The time limit for an answer that does not wait for a book.
    pub const USUAL: Duration = Duration::from_secs(2);

    /// Whether no other node would give a better answer.
    pub fn is_settled_by(&self, status: StatusCode) -> bool {
        match status {
            StatusCode::OK | StatusCode::NOT_MODIFIED => true,
            StatusCode::BAD_REQUEST => self.may_be_bad,
            _ => false,
        }
    }
}

/// The answer of a node.
#[derive(Debug)]
pub struct Answer {
    pub node: Arc<str>,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why a node gave no answer, for people: what follows its name.
#[derive(Debug)]
pub struct Silent(pub &'static str);

/// The nodes that were asked recently.
pub struct Nodes {
    identity: RwLock<OwnIdentity>,
    known: Mutex<HashMap<Holder, Arc<Node>>>,
}

/// The identity of this node and the authorities that it trusts; checked when made.
struct OwnIdentity {
    own: Certificate,
    authority: Authority,
}

/// Another node.
pub struct Node {
    holder: Holder,
    tls: TlsConnector,
    idle: Mutex<Vec<Idle>>,
    used: Mutex<Instant>,
    doubted: Mutex<Option<Instant>>,
}

/// An idle connection, and since when.
struct Idle(SendRequest<Empty<Bytes>>, Instant);

impl Nodes {
    /// Errors are texts for people.
    pub fn new(own: Certificate, authority: Authority) -> Result<Nodes, String> {
        client_config(Credentials::read(&own)?, &authority, "")?;
        Ok(Nodes {
            identity: RwLock::new(OwnIdentity { own, authority }),
            known: Mutex::default(),
        })
    }

    /// Use another certificate and authority for new connections. Errors are texts for people.
    pub fn replace(&self, own: Certificate, authority: Authority) -> Result<(), String> {
        client_config(Credentials::read(&own)?, &authority, "")?;
        *self.identity.write() = OwnIdentity { own, authority };
        self.known.lock().clear();
        Ok(())
    }

    /// Forget connections to nodes.
    pub fn forget(&self, is_gone: impl Fn(&str) -> bool) {
        let mut known = self.known.lock();
        known.retain(|holder, _| !is_gone(&holder.node));
    }

    /// Forget nodes at other addresses that were not asked for a while.
    pub fn forget_absent(&self, addresses: &[Arc<str>]) {
        let is_there = |holder: &Holder| addresses.contains(&holder.address);
        let mut known = self.known.lock();
        known.retain(|holder, node| is_there(holder) || node.used.lock().elapsed() < UNUSED);
    }

    /// The node of a holder.
    pub fn node(&self, holder: &Holder) -> Result<Arc<Node>, Silent> {
        if let Some(node) = self.known.lock().get(holder) {
            return Ok(node.clone());
        }
        let identity = self.identity.read();
        let made = Credentials::read(&identity.own)
            .and_then(|own| client_config(own, &identity.authority, &holder.node));
        let node = Arc::new(Node {
            holder: holder.clone(),
            tls: TlsConnector::from(Arc::new(made.map_err(|_| Silent(NO_ADDRESS))?)),
            idle: Mutex::default(),
            used: Mutex::new(Instant::now()),
            doubted: Mutex::default(),
        });
        self.known.lock().insert(holder.clone(), node.clone());
        Ok(node)
    }
}

impl Node {
    /// Its id.
    pub fn name(&self) -> &str {
        &self.holder.node
    }

    /// Whether it did not answer in time a moment ago.
    pub fn is_doubted(&self) -> bool {
        self.doubted
            .lock()
            .is_some_and(|since| since.elapsed() < DOUBTED)
    }

    /// Ask it after others for a while.
    pub fn doubt(&self) {
        *self.doubted.lock() = Some(Instant::now());
    }

    /// Its whole answer; a node that dies while it sends one has not answered.
    pub async fn ask(&self, question: &Question) -> Result<Answer, Silent> {
        let answered = self.exchange(question).await;
        match &answered {
            Ok(_) => *self.doubted.lock() = None,
            Err(_) => self.doubt(),
        }
        answered
    }

    async fn exchange(&self, question: &Question) -> Result<Answer, Silent> {
        *self.used.lock() = Instant::now();
        let until = tokio::time::Instant::now() + question.most;
        let head = async {
            while let Some(mut kept) = self.take() {
                // The node may have closed the idle connection: that is no sign of a fault.
                if kept.ready().await.is_ok()
                    && let Ok(response) = kept.send_request(self.request(question)?).await
                {
                    return Ok((kept, response));
                }
            }
            let mut made = self.connect().await?;
            let response = made.send_request(self.request(question)?).await;
            Ok((made, response.map_err(broken)?))
        };
        let (connection, response) = tokio::time::timeout_at(until, head)
            .await
            .map_err(|_| Silent(LATE))??;
        let (head, body) = response.into_parts();
        let body = whole(body).await?;
        self.keep(connection);
        Ok(Answer {
            node: self.holder.node.clone(),
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    fn request(&self, question: &Question) -> Result<Request<Empty<Bytes>>, Silent> {
        let host = HeaderValue::from_str(&self.holder.address).map_err(unusable)?;
        let mut request = Request::get(&question.target)
            .body(Empty::new())
            .map_err(unusable)?;
        *request.headers_mut() = question.headers.clone();
        request.headers_mut().insert(HOST, host);
        Ok(request)
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>, Silent> {
        let address = &*self.holder.address;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(unusable)?;
        let failed = |why| Silent(silence::io(&why));
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        let _ = stream.set_nodelay(true);
        let stream = self.tls.connect(name, stream).await.map_err(failed)?;
        let (connection, driven) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        tokio::spawn(driven);
        Ok(connection)
    }

    /// The idle connection that was used last.
    fn take(&self) -> Option<SendRequest<Empty<Bytes>>> {
        /// Servers close those that are idle for 30 s.
        const FRESH: Duration = Duration::from_secs(20);
        let mut idle = self.idle.lock();
        idle.retain(|Idle(connection, since)| !connection.is_closed() && since.elapsed() < FRESH);
        idle.pop().map(|Idle(connection, _)| connection)
    }

    fn keep(&self, connection: SendRequest<Empty<Bytes>>) {
        const MOST: usize = 256;
        let mut idle = self.idle.lock();
        if idle.len() < MOST {
            idle.push(Idle(connection, Instant::now()));
        }
    }
}

fn broken(why: hyper::Error) -> Silent {
    Silent(silence::http(&why))
}

fn unusable<E>(_: E) -> Silent {
    Silent(NO_ADDRESS)
}

/// A whole body, of which parts keep coming.
async fn whole(mut body: Incoming) -> Result<Bytes, Silent> {
    const MOST: usize = 256 << 20;
    const STALLED: Duration = Duration::from_secs(1);
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    loop {
        let frame = timeout(STALLED, body.frame())
            .await
            .map_err(|_| Silent(STOPPED))?;
        let Some(frame) = frame else { break };
        let Ok(part) = frame.map_err(broken)?.into_data() else {
            continue; // trailers
        };
        if first.is_empty() {
            first = part;
            continue;
        }
        if joined.is_empty() {
            joined.extend_from_slice(&first);
        }
        joined.extend_from_slice(&part);
        if joined.len() > MOST {
            return Err(Silent(TOO_LONG));
        }
    }
    match joined.is_empty() {
        true => Ok(first),
        false => Ok(joined.freeze()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_node_is_asked_unless_it_would_say_the_same() {
        let question = |may_be_bad| Question {
            target: "/v1/books".to_owned(),
            headers: HeaderMap::new(),
            most: Question::USUAL,
            may_be_bad,
        };
        for (status, settled, of_checked) in [
            (200, true, true),
            (304, true, true),
            (400, true, false),
            (404, false, false),
            (425, false, false),
            (429, false, false),
            (503, false, false),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(question(true).is_settled_by(status), settled, "{status}");
            assert_eq!(
                question(false).is_settled_by(status),
                of_checked,
                "{status}"
            );
        }
    }
}
