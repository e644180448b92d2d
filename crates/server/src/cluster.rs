//! This server as one node of a cluster: books that other nodes hold are read there.
//!
//! Theory of operation. The owner says which nodes hold which books (`holders`). A read of one that this server does not
//! hold, or whose own replica cannot be read now, is put to its holders (`forwarding`, `many`) over kept connections
//! (`nodes`), to the next one where a holder fails, refuses or is slow (`hedging`). Readers that follow such a book wait
//! until the owner has begun it here (`follows`, `following`).
//!
//! Nodes prove themselves with certificates of the cluster's authority, in both directions (`identity`). What a node
//! asks is answered from the own books alone: a read crosses one connection between nodes at most.

mod follows;
mod hedging;
mod holders;
pub mod identity;
mod nodes;
mod silence;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderName, HeaderValue};
use parking_lot::RwLock;
use tokio::sync::watch;

pub use follows::{Followed, Follows};
pub use hedging::Outcome;
pub use holders::{ClusterBook, Holder, Holders};
pub use nodes::{Answer, Question};

use crate::certificate::Certificate;
use crate::registry::BookName;
use identity::Authority;
use nodes::Nodes;

/// Says which node answered.
pub const NODE: HeaderName = HeaderName::from_static("x-depthcache-node");

/// How a server is a node.
pub struct ClusterOptions {
    /// Its id, as its certificate names it.
    pub node: String,
    /// What all nodes trust: one or several certificates in PEM.
    pub authority: String,
    /// What proves that it is that node.
    pub certificate: Certificate,
}

/// What a server knows of its cluster.
pub struct Cluster {
    /// Its own id.
    pub node: Arc<str>,
    /// The same, as a header.
    pub header: HeaderValue,
    /// Which nodes hold which books.
    pub holders: Holders,
    nodes: Nodes,
    authority: RwLock<Authority>,
    denied: watch::Sender<HashSet<String>>,
    /// The addresses of the servers of all nodes that are there, this one included.
    nodes_there: watch::Sender<Vec<Arc<str>>>,
    /// Why the owner says that this node is not ready; empty: it is; None: the owner has not said yet.
    not_ready: RwLock<Option<String>>,
    /// Own books that are served for their readers alone, because other nodes hold them now.
    kept: RwLock<HashSet<BookName>>,
    /// Which books the owner is asked to begin here.
    pub follows: Follows,
    /// Reads that other nodes answered.
    pub forwarded: AtomicU64,
    /// Nodes that were asked because another one failed, refused or was slow.
    pub hedged: AtomicU64,
    /// Nodes that were asked and gave no answer.
    pub failed: AtomicU64,
}

impl Cluster {
    /// Errors are words for people.
    pub fn new(options: ClusterOptions) -> Result<Cluster, String> {
        let authority = Authority::read(&options.authority)?;
        let header = HeaderValue::from_str(&options.node);
        Ok(Cluster {
            header: header.map_err(|_| "the id of a node must be plain text".to_owned())?,
            node: options.node.into(),
            holders: Holders::default(),
            nodes: Nodes::new(options.certificate, authority.clone())?,
            authority: RwLock::new(authority),
            denied: watch::Sender::default(),
            nodes_there: watch::Sender::default(),
            not_ready: RwLock::default(),
            kept: RwLock::default(),
            follows: Follows::default(),
            forwarded: AtomicU64::new(0),
            hedged: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// Whom it trusts.
    pub fn authority(&self) -> Authority {
        self.authority.read().clone()
    }

    /// Use another certificate, and where it is given another authority, on new connections. Errors are words for people.
    pub fn replace(&self, own: Certificate, authority: Authority) -> Result<(), String> {
        self.nodes.replace(own, authority.clone())?;
        *self.authority.write() = authority;
        Ok(())
    }

    /// The nodes that are refused from now on, and no others; their connections end.
    pub fn deny(&self, nodes: HashSet<String>) {
        self.nodes.forget(|node| nodes.contains(node));
        self.denied.send_replace(nodes);
    }

    /// The addresses of all nodes that are there from now on.
    pub fn set_nodes(&self, addresses: Vec<Arc<str>>) {
        self.nodes.forget_absent(&addresses);
        self.nodes_there.send_if_modified(|known| {
            let is_new = *known != addresses;
            *known = addresses;
            is_new
        });
    }

    /// The addresses of all nodes that are there, and each change of them.
    pub fn nodes_there(&self) -> watch::Receiver<Vec<Arc<str>>> {
        self.nodes_there.subscribe()
    }

    /// Why this node is not ready; empty if it is. None: its owner has not said yet.
    pub fn not_ready(&self) -> Option<String> {
        self.not_ready.read().clone()
    }

    /// This node is not ready for this reason; empty if it is.
    pub fn set_not_ready(&self, reason: String) {
        *self.not_ready.write() = Some(reason);
    }

    /// Whether an own book is served for its readers alone.
    pub fn is_kept(&self, exchange: &Arc<str>, symbol: &Arc<str>) -> bool {
        let kept = self.kept.read();
        !kept.is_empty() && kept.contains(&(exchange.clone(), symbol.clone()))
    }

    /// An own book is served for its readers alone, or as a replica.
    pub fn set_kept(&self, exchange: &str, symbol: &str, is_kept: bool) {
        let name = (exchange.into(), symbol.into());
        let mut kept = self.kept.write();
        match is_kept {
            true => kept.insert(name),
            false => kept.remove(&name),
        };
    }

    /// Whether a node is refused.
    pub fn is_denied(&self, node: &str) -> bool {
        self.denied.borrow().contains(node)
    }

    /// Wait until a node is refused.
    pub async fn until_denied(&self, node: &str) {
        let mut denied = self.denied.subscribe();
        let _ = denied.wait_for(|denied| denied.contains(node)).await;
    }

    /// Put a question about some books to these holders of them, the best first, and to those that the owner names
    /// meanwhile.
    pub async fn ask(
        &self,
        books: &[Arc<ClusterBook>],
        holders: &[Holder],
        question: &Question,
    ) -> Outcome {
        let mut changes = self.holders.changes();
        changes.mark_changed(); // they may be older than that
        let table = CurrentHolders {
            changes,
            cluster: self,
            books,
            holders: holders.to_vec(),
            known: books.to_vec(),
        };
        let outcome = hedging::ask(table, question, (&self.hedged, &self.failed)).await;
        if let Outcome::Answered(_) = &outcome {
            self.forwarded.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }
}

/// Who holds some books, as long as a question about them runs.
struct CurrentHolders<'a> {
    cluster: &'a Cluster,
    /// As they were.
    books: &'a [Arc<ClusterBook>],
    /// As they are.
    known: Vec<Arc<ClusterBook>>,
    holders: Vec<Holder>,
    changes: watch::Receiver<u64>,
}

impl hedging::Table for CurrentHolders<'_> {
    fn nodes(&self) -> Vec<Arc<nodes::Node>> {
        let cluster = self.cluster;
        let others = self
            .holders
            .iter()
            .filter(|holder| holder.node != cluster.node && !cluster.is_denied(&holder.node));
        others
            .filter_map(|holder| cluster.nodes.node(holder).ok())
            .collect()
    }

    async fn changed(&mut self) {
        loop {
            if self.changes.changed().await.is_err() {
                return std::future::pending().await;
            }
            let all = &self.cluster.holders;
            let known: Vec<_> = self
                .books
                .iter()
                .filter_map(|book| all.find(&book.exchange, &book.symbol))
                .collect();
            let is_same = |(one, other): (&Arc<_>, &Arc<_>)| Arc::ptr_eq(one, other);
            if known.len() == self.known.len() && known.iter().zip(&self.known).all(is_same) {
                continue;
            }
            let mut seen = HashSet::new();
            let named = known.iter().flat_map(|book| &book.holders);
            self.holders = named
                .filter(|holder| seen.insert(*holder))
                .cloned()
                .collect();
            self.known = known;
            return;
        }
    }
}
