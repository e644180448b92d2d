//! Requests that the owner of the server answers: begin a book, end one, and all about its cluster.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::call::Call;
use crate::delegation::DelegatedRequest;
use crate::limits::Limits;
use crate::problem::{JSON, Problem};
use crate::table::Route;

/// Ask the owner. It gets the parameters of a GET as a body, a JSON object of texts.
pub async fn delegate(
    call: &Call<'_>,
    route: &'static Route,
    body: Body,
) -> Result<Response, Problem> {
    let limits = &call.shared.limits;
    let body = match route.method {
        "GET" => call.query.to_json().into(),
        _ => whole(limits, &call.request.headers, body).await?,
    };
    let mut path = call.path.iter().map(|(_, value)| value.clone());
    let make = |number| DelegatedRequest {
        number,
        route: route.name,
        exchange: path.next().unwrap_or_default(),
        symbol: path.next().unwrap_or_default(),
        body,
    };
    let answered = call.shared.delegation.ask(make, limits.delegation).await?;
    let mut response = Response::new(Body::from(answered.body));
    *response.status_mut() =
        StatusCode::from_u16(answered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if *response.status_mut() != StatusCode::NO_CONTENT {
        response.headers_mut().insert(CONTENT_TYPE, JSON);
    }
    Ok(response)
}

/// The whole body: JSON, bounded in size and time.
pub async fn whole(limits: &Limits, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let bytes = timeout(limits.idle, Limited::new(body, limits.body_bytes).collect())
        .await
        .map_err(|_| {
            let message = "the body did not come in time";
            Problem::new(StatusCode::REQUEST_TIMEOUT, "slow_body", message)
        })?
        .map_err(|why| match why.is::<LengthLimitError>() {
            true => {
                let message = format!("a body has at most {} bytes", limits.body_bytes);
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
            }
            false => Problem::new(StatusCode::BAD_REQUEST, "broken_body", "the body broke off"),
        })?
        .to_bytes();
    let kind = headers.get(CONTENT_TYPE);
    let is_json = kind
        .and_then(|kind| kind.to_str().ok()?.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if !bytes.is_empty() && !is_json {
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        return Err(Problem::parameter("Content-Type", kind, "application/json"));
    }
    Ok(bytes)
}
