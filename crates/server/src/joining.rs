//! What strangers may ask of a node of a cluster: the certificate of its authority, to join, and a new certificate.
//!
//! These routes need no token, even where all others do: a joining node has none yet, and the secret in the body is its
//! proof. Their bodies, their rate per address and the number that wait for the owner at once are limited, so that
//! strangers never fill its queue.

use bytes::Bytes;
use http::StatusCode;
use parking_lot::RwLock;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::problem::Problem;

/// Requests of strangers that wait for the owner at once.
const MOST: usize = 8;

/// What a node of a cluster shows strangers.
pub struct Joining {
    /// In PEM; None outside clusters.
    authority: RwLock<Option<Bytes>>,
    gate: Semaphore,
}

impl Default for Joining {
    fn default() -> Joining {
        Joining {
            authority: RwLock::default(),
            gate: Semaphore::new(MOST),
        }
    }
}

impl Joining {
    /// Show another authority.
    pub fn set_authority(&self, authority: Bytes) {
        *self.authority.write() = Some(authority);
    }

    /// The certificates of the authority, in PEM.
    pub fn authority(&self) -> Result<Bytes, Problem> {
        self.authority.read().clone().ok_or_else(|| {
            let message = "this server is no node of a cluster";
            Problem::new(StatusCode::NOT_FOUND, "no_cluster", message)
        })
    }

    /// Let one more wait for the owner, for as long as the permit lives.
    pub fn wait(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.authority()?;
        self.gate.try_acquire().map_err(|_| {
            let message = format!("{MOST} nodes wait to be answered already");
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Problem::new(status, "busy", message).retry_after(1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_cluster_lets_nobody_ask() {
        let joining = Joining::default();
        let problem = joining.wait().expect_err("no cluster");
        assert_eq!(problem.status, StatusCode::NOT_FOUND);
        assert!(joining.authority().is_err());
    }

    #[test]
    fn few_wait_at_once() {
        let joining = Joining::default();
        joining.set_authority(Bytes::from_static(b"pem"));
        let waiting: Vec<_> = (0..MOST).map(|_| joining.wait()).collect();
        assert!(waiting.iter().all(Result::is_ok));
        let problem = joining.wait().expect_err("one too many");
        assert_eq!(problem.status, StatusCode::SERVICE_UNAVAILABLE);
        drop(waiting);
        assert!(joining.wait().is_ok());
    }
}
