//! The routes of strangers who want to join a cluster. Not here: what bounds them (`joining`).

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;

use crate::call::{Call, typed};
use crate::managing;
use crate::problem::Problem;
use crate::table::Route;

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
    let _permit = call.shared.joining.wait()?;
    managing::delegate(call, route, body).await
}
