//! The server as its owner holds it: started, given books, drained.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use depthcache_book::market::Market;
use depthcache_book::query::Reading;
use depthcache_book::status::Status;
use parking_lot::{Mutex, RwLock};
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::access::{Origins, SharedToken, Token, Tokens};
use crate::access_log::AccessLog;
use crate::certificate::Certificate;
use crate::cluster::identity::Authority;
use crate::cluster::{Cluster, ClusterBook, ClusterOptions};
use crate::compat::{self, Compat, CompatOptions};
use crate::delegation::{DelegatedRequest, DelegatedResponse, Delegation};
use crate::entrance::Entry;
use crate::exchange::{Exchange, ExchangeOptions};
use crate::joining::Joining;
use crate::limits::Limits;
use crate::listener::{self, Tls};
use crate::peers::Peers;
use crate::registry::{Book, Registry};
use crate::router;
use crate::shared::{Document, Protocol, Shared};
use crate::statistics::Statistics;
use crate::views::Backlog;
use crate::waiting::Waiting;

/// How a server behaves.
pub struct Options {
    /// Where it listens; port 0 for any free one.
    pub address: SocketAddr,
    /// Its threads.
    pub workers: usize,
    /// Certificate and key; None for plain HTTP.
    pub tls: Option<Certificate>,
    /// Who may do what.
    pub tokens: Vec<Token>,
    /// Names of hosts that requests may be for, beside addresses and `localhost`.
    pub hosts: Vec<String>,
    /// Files by path.
    pub documents: HashMap<String, Document>,
    /// What it takes from its clients.
    pub limits: Limits,
    /// Listeners for old clients.
    pub compat: Vec<CompatOptions>,
    /// A file for one line a request; `-`: standard error.
    pub access_log: Option<PathBuf>,
    /// How it speaks the exchange's own protocol; None for not at all.
    pub exchange: Option<ExchangeOptions>,
    /// How it is a node of a cluster, whose certificate it has; None for a server by itself.
    pub cluster: Option<ClusterOptions>,
}

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The system gives no threads.
    System(io::Error),
    /// An address or a file that cannot be used, and why.
    Unusable(String, io::Error),
    /// The certificate or its key cannot be used.
    Certificate(String),
}

impl From<io::Error> for StartError {
    fn from(why: io::Error) -> StartError {
        StartError::System(why)
    }
}

/// A server that runs. Order of calls: `start`, then `registry`, `take_request` and `respond` from any thread, then
/// `drain`. Dropping it ends it at once.
pub struct Server {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    tls: Option<Arc<Tls>>,
    stop: watch::Sender<bool>,
    runtime: Mutex<Option<Runtime>>,
    process: u32,
    #[cfg(unix)]
    listeners: Vec<std::os::fd::RawFd>,
}

impl Server {
    /// Bind and begin to serve.
    pub fn start(options: Options) -> Result<Server, StartError> {
        let (tls, cluster) =
            proofs(options.tls, options.cluster).map_err(StartError::Certificate)?;
        let hosts = options.hosts.clone();
        let shared = Arc::new(Shared {
            registry: Registry::default(),
            tokens: Tokens::new(options.tokens),
            origins: Origins::new(options.hosts),
            documents: options.documents,
            limits: options.limits,
            statistics: Statistics::default(),
            peers: Peers::default(),
            delegation: Delegation::default(),
            joining: Joining::default(),
            waiting: Waiting::default(),
            backlog: Backlog::new(options.limits.view_bytes),
            access_log: options
                .access_log
                .as_deref()
                .map(|path| AccessLog::open(path).map_err(unusable(path.display())))
                .transpose()?,
            metrics: RwLock::default(),
            versions: RwLock::default(),
            recording_has_ended: RwLock::default(),
            is_draining: AtomicBool::new(false),
            has_delegated_lists: AtomicBool::new(false),
            exchange: options.exchange.map(protocol),
            cluster,
            ending: watch::Sender::new(false),
            instance: instance(),
        });
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(options.workers.max(1))
            .max_blocking_threads(1)
            .thread_name("depthcache-server")
            .enable_io()
            .enable_time()
            .build()?;
        let (stop, stopped) = watch::channel(false);
        let mut bound = Vec::new();
        {
            let _inside = runtime.enter();
            let compat = options.compat.iter().map(|each| each.address);
            for address in std::iter::once(options.address).chain(compat) {
                let listening = listener::bind(address, &shared.limits);
                bound.push(listening.map_err(unusable(address))?);
            }
        }
        let addresses = bound
            .iter()
            .map(TcpListener::local_addr)
            .collect::<io::Result<Vec<_>>>()?;
        #[cfg(unix)]
        let descriptors = bound.iter().map(std::os::fd::AsRawFd::as_raw_fd).collect();
        let mut own_tls = tls.clone();
        let room = listener::room(&shared.limits);
        let mut compat = options.compat.into_iter();
        for (index, (bound, address)) in bound.into_iter().zip(&addresses).enumerate() {
            let entry = match index {
                0 => Entry {
                    router: router::router(shared.clone()),
                    compat: None,
                    compat_of_nodes: shared.cluster.as_ref().map(|_| {
                        let compat = Arc::new(Compat::for_nodes(*address));
                        compat::router(shared.clone(), compat)
                    }),
                },
                _ => {
                    let options = compat.next().expect("one for each further address");
                    let compat = Arc::new(Compat::new(options, *address, hosts.clone()));
                    Entry {
                        router: compat::router(shared.clone(), compat.clone()),
                        compat: Some(compat),
                        compat_of_nodes: None,
                    }
                }
            };
            runtime.spawn(listener::accept(
                bound,
                room.clone(),
                own_tls.take(), // old clients have none
                shared.clone(),
                entry,
                stopped.clone(),
            ));
        }
        drop(stopped);
        Ok(Server {
            shared,
            addresses,
            tls,
            stop,
            runtime: Mutex::new(Some(runtime)),
            process: std::process::id(),
            #[cfg(unix)]
            listeners: descriptors,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where it listens for old clients, in the order of the options.
    pub fn compat_addresses(&self) -> &[SocketAddr] {
        &self.addresses[1..]
    }

    /// Give new connections another certificate; open ones keep theirs. A node uses it to other nodes, too. `authority`:
    /// of a node, what it trusts from now on. Errors are words for people.
    pub fn replace_certificate(
        &self,
        certificate: Certificate,
        authority: Option<&str>,
    ) -> Result<(), String> {
        let Some(tls) = &self.tls else {
            return Err("this server was started without TLS".to_owned());
        };
        let Some(cluster) = &self.shared.cluster else {
            return match authority {
                None => tls.replace(&certificate, None),
                Some(_) => Err(NO_NODE.to_owned()),
            };
        };
        let authority = match authority {
            None => cluster.authority(),
            Some(pem) => Authority::read(pem)?,
        };
        tls.replace(&certificate, Some(&authority))?;
        cluster.replace(certificate, authority)
    }

    /// Which nodes hold a book of the cluster, the best to ask first: they are asked while this server does not hold it in
    /// a state that can be read. Without holders it is forgotten. Errors are words for people.
    pub fn set_holders(&self, book: ClusterBook) -> Result<(), String> {
        let cluster = self.shared.cluster.as_ref().ok_or(NO_NODE)?;
        cluster.holders.set(book);
        Ok(())
    }

    /// Keep an own book only for its present readers, because other nodes hold it now, or serve it as a replica again.
    /// Each call tells the readers that can move which nodes hold the book. The error is a message for people.
    pub fn keep_for_readers(
        &self,
        exchange: &str,
        symbol: &str,
        is_kept: bool,
    ) -> Result<(), String> {
        let cluster = self.shared.cluster.as_ref().ok_or(NO_NODE)?;
        cluster.set_kept(exchange, symbol, is_kept);
        let held = cluster.holders.find(exchange, symbol);
        if let (true, Some(protocol)) = (is_kept, &self.shared.exchange)
            && let Some(book) = held.filter(|book| book.status == Status::Synced)
        {
            let others = book.others(&cluster.node);
            let addresses: Vec<Arc<str>> = others.map(|holder| holder.address.clone()).collect();
            protocol.tell_holders(exchange, symbol, &addresses);
        }
        Ok(())
    }

    /// The addresses of the servers of all nodes that are up, this one included, for clients that can move. Errors
    /// are words for people.
    pub fn set_nodes(&self, addresses: Vec<Arc<str>>) -> Result<(), String> {
        let cluster = self.shared.cluster.as_ref().ok_or(NO_NODE)?;
        cluster.set_nodes(addresses);
        Ok(())
    }

    /// Why `/readyz` says that this node is not ready; empty if it is. Errors are words for people.
    pub fn set_not_ready(&self, reason: String) -> Result<(), String> {
        let cluster = self.shared.cluster.as_ref().ok_or(NO_NODE)?;
        cluster.set_not_ready(reason);
        Ok(())
    }

    /// The nodes that are refused from now on, and no others: their connections end. Errors are words for people.
    pub fn set_denied(&self, nodes: HashSet<String>) -> Result<(), String> {
        let cluster = self.shared.cluster.as_ref().ok_or(NO_NODE)?;
        cluster.deny(nodes);
        Ok(())
    }

    /// Connections that follow a book, counted for each of its streams and views.
    pub fn readers(&self, exchange: &str, symbol: &str) -> usize {
        let book = self.shared.registry.find(Some(exchange), symbol, false);
        let of_views = book.map_or(0, |book| book.hub.readers());
        let protocol = self.shared.exchange.as_ref();
        of_views + protocol.map_or(0, |protocol| protocol.readers(exchange, symbol))
    }

    /// Show nodes that want to join the certificates of the cluster's authority, in PEM, and let them ask.
    pub fn set_authority(&self, authority: Bytes) {
        self.shared.joining.set_authority(authority);
    }

    /// Take these tokens from now on, and no others: those of the start included.
    pub fn set_tokens(&self, tokens: Vec<SharedToken>) {
        self.shared.tokens.replace(tokens);
    }

    /// The books that it serves.
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// Serve a book; it takes the place of one of the same names.
    pub fn add(&self, book: Book) {
        if self.shared.exchange.is_some() {
            book.change(|market| market.keep_diffs());
        }
        if let Some(before) = self.shared.registry.add(book.clone()) {
            self.on_gone(&before);
        }
        let registry = &self.shared.registry;
        if self.shared.is_node()
            && let Some(exchange) = &self.shared.exchange
            && let Some(runtime) = self.runtime.lock().as_ref()
        {
            let _inside = runtime.enter();
            exchange.on_held(&self.shared, &book);
            if let Some((_, hidden)) = registry.followed_and_own(&book.exchange, &book.symbol) {
                exchange.on_held(&self.shared, &hidden);
            }
        }
    }

    /// Serve a book no longer, but not a followed one; whether it was served.
    pub fn remove(&self, exchange: &str, symbol: &str) -> bool {
        if let Some(cluster) = &self.shared.cluster {
            cluster.set_kept(exchange, symbol, false);
        }
        let gone = self.shared.registry.remove(exchange, symbol);
        gone.inspect(|book| self.on_gone(book)).is_some()
    }

    /// Serve a followed book no longer; whether it was served. The own book that it hides takes its place at once, and
    /// readers start over.
    pub fn remove_followed(&self, exchange: &str, symbol: &str) -> bool {
        let gone = self.shared.registry.remove_followed(exchange, symbol);
        gone.inspect(|book| self.on_gone(book)).is_some()
    }

    /// Let the own book take the place of the followed one that hides it, so that each reader gets every update once;
    /// whether that was done. It cannot be done while the own book is not synced or is behind the followed one.
    /// `is_exact`: only while both are at one id, so that readers of views need no new snapshot either.
    pub fn take_over(&self, exchange: &str, symbol: &str, is_exact: bool) -> bool {
        let shared = &self.shared;
        let Some((followed, own)) = shared.registry.followed_and_own(exchange, symbol) else {
            return false;
        };
        let Some(reached) = own.look(synced_id) else {
            return false;
        };
        let before = followed.look(|market| market.last_update_id());
        let is_exact = is_exact && followed.hub.readers() > 0;
        if before > Some(reached) || is_exact && before < Some(reached) {
            return false;
        }
        let former = followed.source();
        let swap = || shared.registry.become_own(&followed, &own);
        let Some(protocol) = &shared.exchange else {
            swap();
            return true;
        };
        let is_done = protocol.take_over(&followed, &own, &swap);
        if is_done {
            former.change(|market| market.release_diffs());
        }
        is_done
    }

    fn on_gone(&self, book: &Book) {
        if let Some(exchange) = &self.shared.exchange {
            exchange.on_gone(book);
            book.change(|market| market.release_diffs());
        }
    }

    /// Whether this is another process than the one whose threads it has: a fork has no threads.
    pub fn is_foreign(&self) -> bool {
        std::process::id() != self.process
    }

    /// The descriptors that a forked child is to close, or the ports would stay taken for as long as the child
    /// lives; none once the server ends.
    #[cfg(unix)]
    pub fn listeners(&self) -> &[std::os::fd::RawFd] {
        match self.shared.is_draining() {
            true => &[],
            false => &self.listeners,
        }
    }

    /// The next request for the owner; None after so long, and at the end.
    pub fn take_request(&self, most: Duration) -> Option<DelegatedRequest> {
        self.shared.delegation.take(most)
    }

    /// Whether `take_request` gives nothing any more.
    pub fn is_over(&self) -> bool {
        self.shared.delegation.is_over()
    }

    /// What `/metrics` says beside what the server knows itself: text of Prometheus, of other families.
    pub fn set_metrics(&self, text: Bytes) {
        *self.shared.metrics.write() = text;
    }

    /// The versions of the program that run and are installed, for `/v1/stats`.
    pub fn set_versions(&self, running: String, installed: String) {
        *self.shared.versions.write() = Some((running, installed));
    }

    /// The books are of a recording, which plays or has ended, for `/v1/stats`.
    pub fn set_recording(&self, has_ended: bool) {
        *self.shared.recording_has_ended.write() = Some(has_ended);
    }

    /// Let the owner list the books for old clients, as it answers what begins and ends them.
    pub fn delegate_lists(&self) {
        let delegated = &self.shared.has_delegated_lists;
        delegated.store(true, Ordering::Release);
    }

    /// WebSockets and streams of events that are open.
    pub fn followers(&self) -> usize {
        let statistics = &self.shared.statistics;
        statistics.sockets.load(Ordering::Relaxed) + statistics.streams.load(Ordering::Relaxed)
    }

    /// How often `/metrics` was asked for.
    pub fn metrics_reads(&self) -> u64 {
        let responses = self.shared.statistics.responses();
        responses
            .filter(|(name, ..)| *name == "read_metrics")
            .map(|(_, _, count)| count)
            .sum()
    }

    /// Whether somebody still waits for the answer to a request.
    pub fn is_waiting(&self, number: u64) -> bool {
        self.shared.delegation.is_waiting(number)
    }

    /// Answer a request; false where nobody waits for it any more.
    pub fn respond(&self, number: u64, response: DelegatedResponse) -> bool {
        self.shared.delegation.respond(number, response)
    }

    /// Take no connection any more, answer what was asked, and end; cut what is not done after `most`. Whether all
    /// was done. Blocks; a second call has nothing to do.
    pub fn drain(&self, most: Duration) -> bool {
        /// For the last responses, where the time is over.
        const LAST_WORDS: Duration = Duration::from_millis(250);
        if self.is_foreign() {
            return true;
        }
        let Some(runtime) = self.runtime.lock().take() else {
            return true;
        };
        self.shared.is_draining.store(true, Ordering::Release);
        self.shared.ending.send_replace(true);
        let _ = self.stop.send(true);
        self.shared.waiting.finish();
        // Every connection holds a receiver until it is done.
        let all_done = runtime.block_on(async {
            let all_done = timeout(most, self.stop.closed()).await.is_ok();
            self.shared.delegation.finish(); // who still waits for the owner gets status 503
            let _ = timeout(LAST_WORDS, self.stop.closed()).await;
            all_done
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        if self.shared.exchange.is_some() {
            let registry = &self.shared.registry;
            for book in registry.all().into_iter().chain(registry.all_hidden()) {
                book.change(|market| market.release_diffs());
            }
        }
        if let Some(log) = &self.shared.access_log {
            log.finish();
        }
        all_done
    }
}

/// Up to which id a synced book is.
fn synced_id(market: &Market) -> Option<i64> {
    let is_synced = market.status_info().status == Status::Synced;
    market.last_update_id().filter(|_| is_synced)
}

const NO_NODE: &str = "this server is no node of a cluster";

type Proofs = (Option<Arc<Tls>>, Option<Arc<Cluster>>);

/// What the server proves with a certificate: its own, or that of its node.
fn proofs(
    certificate: Option<Certificate>,
    cluster: Option<ClusterOptions>,
) -> Result<Proofs, String> {
    let Some(options) = cluster else {
        let tls = certificate.map(|own| Tls::new(&own, None)).transpose()?;
        return Ok((tls.map(Arc::new), None));
    };
    if certificate.is_some() {
        return Err("a node has the certificate of its cluster, and no other one".to_owned());
    }
    let authority = Authority::read(&options.authority)?;
    let tls = Tls::new(&options.certificate, Some(&authority))?;
    Ok((Some(Arc::new(tls)), Some(Arc::new(Cluster::new(options)?))))
}

fn unusable(what: impl fmt::Display) -> impl FnOnce(io::Error) -> StartError {
    move |why| StartError::Unusable(what.to_string(), why)
}

fn protocol(options: ExchangeOptions) -> Arc<dyn Protocol> {
    Arc::new(Exchange::new(options))
}

/// Of the time and a random number, because processes in containers have the same ids. It need not be a secret.
fn instance() -> Arc<str> {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now_us = since_1970.map_or(0, |since| since.as_micros() as u64);
    format!("{:x}{now_us:016x}", RandomState::new().hash_one(now_us)).into()
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.is_foreign() {
            std::mem::forget(self.runtime.lock().take()); // its threads are the parent's
            return;
        }
        self.drain(Duration::ZERO);
    }
}
