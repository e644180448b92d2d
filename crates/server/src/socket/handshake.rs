//! The request for a WebSocket, and the answer to it (RFC 6455, section 4.2).

use std::sync::Arc;

use axum::response::Response;
use http::header::{
    CONNECTION, HeaderMap, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::driver::{self, Session};
use crate::connection::Takeover;
use crate::problem::Problem;
use crate::shared::Shared;

/// Make a WebSocket of the connection of a request. `protocols`: the subprotocols that are spoken, of which the
/// client's first is taken; `make` makes the session for it.
pub fn open<S: Session>(
    shared: &Arc<Shared>,
    request: &Parts,
    protocols: &[&'static str],
    make: impl FnOnce(Option<&'static str>) -> S,
) -> Result<Response, Problem> {
    let key = key(request)?;
    // `hyper` and `connection` leave both with every request that asks for an upgrade.
    let extensions = &request.extensions;
    let (upgrade, takeover) = (
        extensions.get::<OnUpgrade>().cloned(),
        extensions.get::<Takeover>(),
    );
    let (Some(upgrade), Some(takeover)) = (upgrade, takeover) else {
        return Err(expected("a WebSocket needs a connection of its own"));
    };
    let protocol = chosen(&request.headers, protocols);
    let session = make(protocol);
    let shared = shared.clone();
    takeover.set(upgrade, move |stream, stop| {
        Box::pin(driver::run(stream, session, shared, stop))
    });
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let accept = derive_accept_key(key.as_bytes());
    let accept = HeaderValue::from_str(&accept).expect("base64 is ASCII");
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    Ok(response)
}

/// The key of a request that asks for a WebSocket as it should.
fn key(request: &Parts) -> Result<&HeaderValue, Problem> {
    let headers = &request.headers;
    let is_asked = request.method == Method::GET
        && request.version == Version::HTTP_11
        && names(headers, &CONNECTION).any(|each| each.eq_ignore_ascii_case("upgrade"))
        && names(headers, &UPGRADE).any(|each| each.eq_ignore_ascii_case("websocket"));
    if !is_asked {
        return Err(expected("this is a WebSocket: connect to it with HTTP/1.1"));
    }
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version != "13")
    {
        return Err(expected("the version of the WebSocket must be 13"));
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    match (keys.next(), keys.next()) {
        (Some(key), None) if is_key(key.as_bytes()) => Ok(key),
        _ => {
            let message = "Sec-WebSocket-Key must be 16 bytes in base64";
            let status = StatusCode::BAD_REQUEST;
            Err(Problem::new(status, "invalid_handshake", message))
        }
    }
}

/// 16 bytes in base64: 22 characters and a padding of two.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(is_digit)
}

fn expected(message: &str) -> Problem {
    Problem::new(StatusCode::UPGRADE_REQUIRED, "websocket_expected", message)
}

/// The elements of a header that is a list.
fn names<'a>(headers: &'a HeaderMap, name: &'a HeaderName) -> impl Iterator<Item = &'a str> + 'a {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
}

fn chosen(headers: &HeaderMap, protocols: &[&'static str]) -> Option<&'static str> {
    names(headers, &SEC_WEBSOCKET_PROTOCOL)
        .find_map(|asked| protocols.iter().find(|spoken| **spoken == asked).copied())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn judged(change: (&str, &str)) -> Result<String, StatusCode> {
        let mut headers = vec![
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
        ];
        headers.retain(|(name, _)| *name != change.0);
        headers.push(change);
        let mut request = Request::get("/v1/ws");
        for (name, value) in headers.into_iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(name, value);
        }
        let (parts, ()) = request.body(()).expect("they are headers").into_parts();
        key(&parts)
            .map(|key| derive_accept_key(key.as_bytes()))
            .map_err(|problem| problem.status)
    }

    #[test]
    fn a_request_for_a_websocket_gets_the_key_of_the_standard() {
        let accepted = judged(("x-other", "1")).expect("as RFC 6455 has it");
        assert_eq!(accepted, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_is_no_such_request_is_refused() {
        let upgrade = Err(StatusCode::UPGRADE_REQUIRED);
        for change in [
            ("connection", ""),
            ("connection", "close"),
            ("upgrade", "h2c"),
            ("sec-websocket-version", "8"),
            ("sec-websocket-version", ""),
        ] {
            assert_eq!(judged(change), upgrade, "{change:?}");
        }
        for key in [
            "",
            "short",
            "dGhlIHNhbXBsZSBub25jZQ",
            "!GhlIHNhbXBsZSBub25jZQ==",
        ] {
            let judged = judged(("sec-websocket-key", key));
            assert_eq!(judged, Err(StatusCode::BAD_REQUEST), "{key}");
        }
    }

    #[test]
    fn the_first_protocol_of_the_client_that_is_spoken_is_taken() {
        let mut headers = HeaderMap::new();
        headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("x, b"));
        headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("a"));
        assert_eq!(chosen(&headers, &["a", "b"]), Some("b"));
        assert_eq!(chosen(&headers, &["c"]), None);
    }
}
