//! Who sends the requests of a connection.

use std::net::IpAddr;
use std::sync::Arc;

use crate::access::Role;
use crate::peers::Peer;

/// Who sends the requests of a connection.
#[derive(Clone)]
pub struct Sender {
    /// What counts as its address.
    pub peer: Arc<Peer>,
    /// Where it comes from.
    pub address: IpAddr,
    pub is_tls: bool,
    /// The node that it proved to be.
    pub node: Option<Arc<str>>,
}

impl Sender {
    /// Whether it is another node of the cluster.
    pub fn is_node(&self) -> bool {
        self.node.is_some()
    }

    /// What its connection proves.
    pub fn role(&self) -> Option<Role> {
        self.node.as_ref().map(|_| Role::Node)
    }
}
