//! What strangers may ask of a node of a cluster: the certificate of its authority, to join, and a new certificate.
//!
//! These routes take no token, also where nobody else may connect without one: who joins has none yet, and the secret in
//! the body is the proof. So their bodies are bounded, each address has few turns, and few of them wait for the owner
//! at once, so that strangers never fill its queue.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use crate::call::{Call, typed};
use crate::managing;
use crate::problem::Problem;
use crate::table::Route;

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

    fn authority(&self) -> Result<Bytes, Problem> {
        self.authority.read().clone().ok_or_else(|| {
            let message = "this server is no node of a cluster";
            Problem::new(StatusCode::NOT_FOUND, "no_cluster", message)
        })
    }
}

/// The certificates of the authority.
pub fn authority(call: &Call<'_>) -> Result<Response, Problem> {
    const PEM: HeaderValue = HeaderValue::from_static("application/x-pem-file");
    Ok(typed(PEM, call.shared.joining.authority()?))
}

/// Let the owner answer, unless too many wait.
pub async fn delegate(
    call: &Call<'_>,
    route: &'static Route,
    body: Body,
) -> Result<Response, Problem> {
    let joining = &call.shared.joining;
    joining.authority()?;
    let Ok(_permit) = joining.gate.try_acquire() else {
        let message = format!("{MOST} nodes wait to be answered already");
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return Err(Problem::new(status, "busy", message).retry_after(1));
    };
    managing::delegate(call, route, body).await
}
