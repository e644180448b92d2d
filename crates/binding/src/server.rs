//! `BookServer`: the server of `depthcache-server` in the hands of Python. Not here: what it does.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use depthcache_book::status::Status;
use depthcache_server::{
    Access, Book, Certificate, ClusterBook, ClusterOptions, CompatOptions, DelegatedResponse,
    Document, ExchangeOptions, Holder, Limits, Options, Parameter, ParameterLocation, ROUTES, Role,
    Server, SharedToken, StartError, Token,
};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::handles::BookReader;
use crate::source::Source;

/// Address, port, name, networks, whether it manages.
type CompatListener = (String, u16, String, Vec<String>, bool);

/// Number, route, exchange, symbol, body.
type Request<'py> = (u64, &'static str, String, String, Bound<'py, PyBytes>);

/// HTTP reads of live books on native threads, which never need the interpreter.
#[pyclass(frozen, module = "depthcache._native")]
pub struct BookServer {
    inner: Server,
}

#[pymethods]
impl BookServer {
    fn __reduce__<'py>(&self) -> PyResult<crate::portable::Reduced<'py>> {
        let instead = "start one in the other process";
        Err(crate::errors::not_portable("a book server", instead))
    }

    /// Listen and serve. `tokens`: role (read or manage) and secret. `documents`: media type and content by path;
    /// `gzipped`: the same content compressed, for clients that accept it.
    /// `tls`: certificate chain and key in PEM. `limits`: as `_server_limits` names them, others as there. `compat`:
    /// listeners for old clients. `access_log`: a file for one JSON line a request; `-`: standard error. `exchange`:
    /// how the exchange's own protocol is spoken, as JSON. `cluster`: `node`, its id, and `authority`, `certificate` and
    /// `key` in PEM, instead of `tls`. Raises OSError, ValueError.
    #[new]
    #[pyo3(signature = (host, port, *, workers, tokens, hosts, documents, gzipped = None, tls = None, limits = None, compat = None, access_log = None, exchange = None, cluster = None))]
    #[expect(clippy::too_many_arguments, reason = "each is named by the caller")]
    fn new(
        py: Python<'_>,
        host: &str,
        port: u16,
        workers: usize,
        tokens: Vec<(String, String)>,
        hosts: Vec<String>,
        documents: HashMap<String, (String, Vec<u8>)>,
        gzipped: Option<HashMap<String, Vec<u8>>>,
        tls: Option<(String, String)>,
        limits: Option<HashMap<String, f64>>,
        compat: Option<Vec<CompatListener>>,
        access_log: Option<PathBuf>,
        exchange: Option<&str>,
        cluster: Option<HashMap<String, String>>,
    ) -> PyResult<Self> {
        let mut gzipped = gzipped.unwrap_or_default();
        let options = Options {
            address: address(host, port)?,
            workers,
            tls: tls.map(|(certificate, key)| Certificate { certificate, key }),
            tokens: tokens.into_iter().map(token).collect::<PyResult<_>>()?,
            hosts,
            documents: documents
                .into_iter()
                .map(|(path, content)| {
                    let gzip = gzipped.remove(&path);
                    document(path, content, gzip)
                })
                .collect::<PyResult<_>>()?,
            limits: limits_of(&limits.unwrap_or_default())?,
            access_log,
            compat: compat
                .unwrap_or_default()
                .into_iter()
                .map(compat_of)
                .collect::<PyResult<_>>()?,
            exchange: exchange
                .map(ExchangeOptions::parse)
                .transpose()
                .map_err(PyValueError::new_err)?,
            cluster: cluster.map(cluster_of).transpose()?,
        };
        let inner = py
            .detach(|| Server::start(options))
            .map_err(|why| match why {
                StartError::System(why) => os_error(&why, None),
                StartError::Unusable(what, why) => os_error(&why, Some(what)),
                StartError::Certificate(why) => PyValueError::new_err(why),
            })?;
        Ok(Self { inner })
    }

    /// The port that it listens on.
    #[getter]
    fn port(&self) -> u16 {
        self.inner.address().port()
    }

    /// Whether this process was forked from the one whose threads serve.
    #[getter]
    fn is_foreign(&self) -> bool {
        self.inner.is_foreign()
    }

    /// Where it listens for old clients, in the order they were given.
    #[getter]
    fn compat_ports(&self) -> Vec<u16> {
        let addresses = self.inner.compat_addresses().iter();
        addresses.map(SocketAddr::port).collect()
    }

    /// Descriptors of the listening sockets, for a forked child to close; none where there are no forks.
    #[getter]
    fn listeners(&self) -> Vec<i32> {
        #[cfg(unix)]
        return self.inner.listeners().to_vec();
        #[cfg(not(unix))]
        Vec::new()
    }

    /// Serve a live book, or a `Book` that is fed by hand, under these names. Raises ValueError for a frozen one.
    fn add(&self, exchange: &str, symbol: &str, book: &BookReader) -> PyResult<()> {
        self.inner.add(served(exchange, symbol, book)?);
        Ok(())
    }

    /// Serve a followed book, which other nodes hold, to readers but to no node. An own book is hidden behind it. Raises
    /// ValueError for a frozen one.
    fn add_followed(&self, exchange: &str, symbol: &str, book: &BookReader) -> PyResult<()> {
        self.inner.add(served(exchange, symbol, book)?.followed());
        Ok(())
    }

    /// Let the hidden book take the place of the followed one, so that each reader gets every update once.
    ///
    /// `is_exact`: only while both are at one id. Returns whether that was done.
    #[pyo3(signature = (exchange, symbol, *, is_exact))]
    fn take_over(&self, py: Python<'_>, exchange: &str, symbol: &str, is_exact: bool) -> bool {
        py.detach(|| self.inner.take_over(exchange, symbol, is_exact))
    }

    /// Serve a followed book no longer; whether it was served. The own book that it hides takes its place at once.
    fn remove_followed(&self, exchange: &str, symbol: &str) -> bool {
        self.inner.remove_followed(exchange, symbol)
    }

    /// Replace the other names of exchanges: the name of the exchange by each of them.
    fn set_aliases(&self, aliases: HashMap<String, String>) {
        self.inner.registry().set_aliases(aliases);
    }

    /// Serve a book from `add` no longer; whether it was served.
    fn remove(&self, exchange: &str, symbol: &str) -> bool {
        self.inner.remove(exchange, symbol)
    }

    fn __len__(&self) -> usize {
        self.inner.registry().len()
    }

    /// The next request that Python is to answer: number, route, exchange, symbol (the parameters of other paths in
    /// their place), body; None after so long, and at the end. Waits without the interpreter.
    fn take_request<'py>(&self, py: Python<'py>, timeout_s: f64) -> PyResult<Option<Request<'py>>> {
        let most = seconds("timeout_s", timeout_s)?;
        let taken = py.detach(|| self.inner.take_request(most));
        Ok(taken.map(|request| {
            let body = PyBytes::new(py, &request.body);
            (
                request.number,
                request.route,
                request.exchange,
                request.symbol,
                body,
            )
        }))
    }

    /// Whether `take_request` gives nothing any more.
    #[getter]
    fn is_over(&self) -> bool {
        self.inner.is_over()
    }

    /// Whether somebody still waits for the answer to a request.
    fn is_waiting(&self, number: u64) -> bool {
        self.inner.is_waiting(number)
    }

    /// Answer a request with a status and JSON; False where nobody waits for it any more.
    fn respond(&self, number: u64, status: u16, body: Vec<u8>) -> bool {
        self.inner
            .respond(number, DelegatedResponse { status, body })
    }

    /// Give new connections another certificate; open ones keep theirs. `authority`: of a node, what it trusts from now
    /// on. Raises ValueError for what cannot be used.
    #[pyo3(signature = (certificate, key, authority = None))]
    fn replace_certificate(
        &self,
        certificate: String,
        key: String,
        authority: Option<&str>,
    ) -> PyResult<()> {
        let made = Certificate { certificate, key };
        let replaced = self.inner.replace_certificate(made, authority);
        replaced.map_err(PyValueError::new_err)
    }

    /// Which nodes hold a book of the cluster: each with its id and the address of its server, the best to ask first. No
    /// nodes: the book is forgotten. `status` and `reason`: those of its best replica. Raises
    /// ValueError for a status that there is not, and for a server that is no node.
    #[pyo3(signature = (exchange, symbol, holders, *, status = "synced", reason = ""))]
    fn set_holders(
        &self,
        exchange: &str,
        symbol: &str,
        holders: Vec<(String, String)>,
        status: &str,
        reason: &str,
    ) -> PyResult<()> {
        let status = Status::parse(status)
            .ok_or_else(|| PyValueError::new_err(format!("there is no status {status:?}")))?;
        let holders = holders.into_iter().map(|(node, address)| Holder {
            node: node.into(),
            address: address.into(),
        });
        let book = ClusterBook {
            exchange: exchange.into(),
            symbol: symbol.into(),
            holders: holders.collect(),
            status,
            reason: reason.to_owned(),
        };
        self.inner.set_holders(book).map_err(PyValueError::new_err)
    }

    /// The servers of all nodes, this one included, for clients that can move to another one. Raises ValueError for a server
    /// that is no node.
    fn set_nodes(&self, addresses: Vec<String>) -> PyResult<()> {
        let addresses = addresses.into_iter().map(Into::into).collect();
        self.inner
            .set_nodes(addresses)
            .map_err(PyValueError::new_err)
    }

    /// Why `/readyz` says that this node is not ready; empty if it is. Raises ValueError for a server that is no node.
    fn set_not_ready(&self, reason: String) -> PyResult<()> {
        let done = self.inner.set_not_ready(reason);
        done.map_err(PyValueError::new_err)
    }

    /// The nodes that are refused from now on, and no others; their connections end. Raises ValueError for a server that
    /// is no node.
    fn set_denied(&self, nodes: Vec<String>) -> PyResult<()> {
        let denied = self.inner.set_denied(nodes.into_iter().collect());
        denied.map_err(PyValueError::new_err)
    }

    /// Connections that follow a book, counted for each of its streams and views.
    fn readers(&self, exchange: &str, symbol: &str) -> usize {
        self.inner.readers(exchange, symbol)
    }

    /// Keep an own book only for its present readers, because other nodes hold it now, or serve it as a
    /// replica again (`is_kept` False). Raises ValueError for a server that is no node.
    fn keep_for_readers(&self, exchange: &str, symbol: &str, is_kept: bool) -> PyResult<()> {
        let kept = self.inner.keep_for_readers(exchange, symbol, is_kept);
        kept.map_err(PyValueError::new_err)
    }

    /// Show nodes that want to join the certificates of the cluster's authority, in PEM, and let them ask.
    fn set_authority(&self, authority: String) {
        self.inner.set_authority(authority.into());
    }

    /// Take these tokens from now on, and no others: role, SHA-256 of the secret, and when it ends, in milliseconds
    /// since 1970 (None: never). Raises ValueError.
    fn set_tokens(&self, tokens: Vec<(String, Vec<u8>, Option<u64>)>) -> PyResult<()> {
        let tokens = tokens.into_iter().map(shared_token);
        self.inner.set_tokens(tokens.collect::<PyResult<_>>()?);
        Ok(())
    }

    /// What `/metrics` says beside what the server knows itself: text of Prometheus.
    fn set_metrics(&self, text: Vec<u8>) {
        self.inner.set_metrics(text.into());
    }

    /// The versions of the program that run and are installed, for `/v1/stats`.
    fn set_versions(&self, running: String, installed: String) {
        self.inner.set_versions(running, installed);
    }

    /// The books are of a recording, which plays or has ended, for `/v1/stats`.
    fn set_recording(&self, has_ended: bool) {
        self.inner.set_recording(has_ended);
    }

    /// Let Python list the books for old clients: those of a whole cluster.
    fn delegate_lists(&self) {
        self.inner.delegate_lists();
    }

    /// WebSockets and streams of events that are open.
    #[getter]
    fn followers(&self) -> usize {
        self.inner.followers()
    }

    /// How often `/metrics` was asked for.
    #[getter]
    fn metrics_reads(&self) -> u64 {
        self.inner.metrics_reads()
    }

    /// Take no connection any more, answer what was asked, and end; cut what is not done by then. Whether all was
    /// done. Waits without the interpreter.
    fn drain(&self, py: Python<'_>, timeout_s: f64) -> PyResult<bool> {
        let most = seconds("timeout_s", timeout_s)?;
        Ok(py.detach(|| self.inner.drain(most)))
    }
}

fn served(exchange: &str, symbol: &str, book: &BookReader) -> PyResult<Book> {
    let (cell, router) = match &book.source {
        Source::Live(cell, owner) => (cell.clone(), Some(owner.books())),
        Source::Offline(cell) => (cell.clone(), None),
        Source::Frozen(_) => {
            return Err(PyValueError::new_err("a frozen book never changes"));
        }
    };
    Ok(Book::new(exchange, symbol, cell, router))
}

fn address(host: &str, port: u16) -> PyResult<SocketAddr> {
    let host: IpAddr = host
        .parse()
        .map_err(|_| PyValueError::new_err(format!("{host:?} is no address")))?;
    Ok(SocketAddr::new(host, port))
}

fn compat_of((host, port, name, networks, manages): CompatListener) -> PyResult<CompatOptions> {
    let networks = networks.iter().map(|text| text.parse());
    Ok(CompatOptions {
        address: address(&host, port)?,
        name,
        networks: networks
            .collect::<Result<_, String>>()
            .map_err(PyValueError::new_err)?,
        manages,
    })
}

fn cluster_of(mut given: HashMap<String, String>) -> PyResult<ClusterOptions> {
    let mut take = |name: &str| {
        let missing = || PyValueError::new_err(format!("cluster has no {name:?}"));
        given.remove(name).ok_or_else(missing)
    };
    Ok(ClusterOptions {
        node: take("node")?,
        authority: take("authority")?,
        certificate: Certificate {
            certificate: take("certificate")?,
            key: take("key")?,
        },
    })
}

fn token((role, secret): (String, String)) -> PyResult<Token> {
    let role = role_of(&role)?;
    Ok(Token { role, secret })
}

fn role_of(role: &str) -> PyResult<Role> {
    let allowed =
        || PyValueError::new_err("the role of a token must be 'read', 'manage' or 'exchange'");
    Role::parse(role).ok_or_else(allowed)
}

fn shared_token((role, digest, until_ms): (String, Vec<u8>, Option<u64>)) -> PyResult<SharedToken> {
    let allowed = |_| PyValueError::new_err("the digest of a token has 32 bytes");
    Ok(SharedToken {
        role: role_of(&role)?,
        digest: digest.try_into().map_err(allowed)?,
        until: until_ms.map(|until| SystemTime::UNIX_EPOCH + Duration::from_millis(until)),
    })
}

fn document(
    path: String,
    (kind, body): (String, Vec<u8>),
    gzip: Option<Vec<u8>>,
) -> PyResult<(String, Document)> {
    let kind = kind
        .parse()
        .map_err(|_| PyValueError::new_err(format!("{kind:?} is no media type")))?;
    Ok((path, Document::new(kind, body.into(), gzip.map(Into::into))))
}

fn limits_of(given: &HashMap<String, f64>) -> PyResult<Limits> {
    let mut limits = Limits::default();
    for (name, value) in given {
        let whole = *value as usize;
        match name.as_str() {
            "connections" => limits.connections = whole,
            "connections_per_address" => limits.connections_per_address = whole,
            "requests_per_second" => limits.requests_per_second = *value as u32,
            "header_bytes" => limits.header_bytes = whole,
            "body_bytes" => limits.body_bytes = whole,
            "message_bytes" => limits.message_bytes = whole,
            "messages_per_second" => limits.messages_per_second = *value as u32,
            "held_bytes" => limits.held_bytes = whole,
            "subscriptions" => limits.subscriptions = whole,
            "followed" => limits.followed = whole,
            "views" => limits.views = whole,
            "view_bytes" => limits.view_bytes = whole,
            "linger_s" => limits.linger = seconds(name, *value)?,
            "heartbeat_s" => limits.heartbeat = seconds(name, *value)?,
            "idle_s" => limits.idle = seconds(name, *value)?,
            "delegation_s" => limits.delegation = seconds(name, *value)?,
            _ => return Err(PyValueError::new_err(format!("there is no limit {name:?}"))),
        }
    }
    Ok(limits)
}

/// Every route of a book server, as dicts: the source of its OpenAPI document.
#[pyfunction]
pub fn _server_routes(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let routes = PyList::empty(py);
    for route in ROUTES {
        let facts = PyDict::new(py);
        facts.set_item("method", route.method)?;
        facts.set_item("path", route.path)?;
        facts.set_item("name", route.name)?;
        facts.set_item("words", route.words)?;
        let access = match route.access {
            Access::Open => "open",
            Access::Read => Role::Read.as_str(),
            Access::Message => "message",
            Access::Node => Role::Node.as_str(),
            Access::Manage => Role::Manage.as_str(),
        };
        facts.set_item("access", access)?;
        let parameters = PyList::empty(py);
        for each in route.parameters {
            parameters.append(parameter(py, each)?)?;
        }
        facts.set_item("parameters", parameters)?;
        facts.set_item("successes", route.successes.to_vec())?;
        facts.set_item("errors", route.errors.to_vec())?;
        routes.append(facts)?;
    }
    Ok(routes)
}

fn parameter<'py>(py: Python<'py>, parameter: &Parameter) -> PyResult<Bound<'py, PyDict>> {
    let facts = PyDict::new(py);
    facts.set_item("name", parameter.name)?;
    let place = match parameter.location {
        ParameterLocation::Path => "path",
        ParameterLocation::Query => "query",
    };
    facts.set_item("in", place)?;
    facts.set_item("schema", parameter.schema)?;
    facts.set_item("words", parameter.words)?;
    facts.set_item("required", parameter.required)?;
    Ok(facts)
}

/// A certificate signed by itself for these names and addresses, and its key; both in PEM.
#[pyfunction]
pub fn _make_certificate(py: Python<'_>, names: Vec<String>) -> PyResult<(String, String)> {
    let made = py.detach(|| depthcache_server::make_certificate(names));
    let made = made.map_err(PyValueError::new_err)?;
    Ok((made.certificate, made.key))
}

fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|_| {
        PyValueError::new_err(format!("{name} must be seconds, 0 or more, not {value}"))
    })
}

/// An `OSError` as Python raises it: number, text, and the file or address.
fn os_error(why: &std::io::Error, what: Option<String>) -> PyErr {
    let words = why.to_string();
    match why.raw_os_error() {
        Some(number) => {
            let words = words.replace(&format!(" (os error {number})"), "");
            PyOSError::new_err((number, words, what))
        }
        None => PyOSError::new_err(words),
    }
}
