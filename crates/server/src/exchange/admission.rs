//! Who may use the exchange's protocol: its clients send no token.
//!
//! Where only programs of this machine can connect, all of them; else those of networks that the owner named, and those
//! that send a key in the path: `/k/<key>/binance.com/…`. A token of the server's own API is as good. Browsers are refused
//! before (`Origins`). The key is taken out of the path before anything else looks at it, so that it is in no error.

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::uri::PathAndQuery;
use subtle::ConstantTimeEq;

use super::refusal::Refusal;
use super::rules::ExchangeOptions;
use crate::shared::Shared;

/// Take a key out of the path of a request.
pub fn take_key(request: &mut Parts) -> Option<String> {
    let path = request.uri.path_and_query()?;
    let rest = path.as_str().strip_prefix("/k/")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (key, rest) = rest.split_at(end);
    let key = key.to_owned();
    let rest = match rest.starts_with('/') {
        true => rest.to_owned(),
        false => format!("/{rest}"),
    };
    let mut uri = request.uri.clone().into_parts();
    uri.path_and_query = PathAndQuery::try_from(rest).ok();
    request.uri = http::Uri::from_parts(uri).unwrap_or_default();
    Some(key)
}

/// Whether a sender is answered.
pub fn check(
    shared: &Arc<Shared>,
    options: &ExchangeOptions,
    request: &Parts,
    address: IpAddr,
    key: Option<&str>,
) -> Result<(), Refusal> {
    if let Some(key) = key {
        let known = options.key.as_deref().unwrap_or_default().as_bytes();
        let is_known = bool::from(known.ct_eq(key.as_bytes())) && !known.is_empty();
        return match is_known {
            true => Ok(()),
            false => Err(Refusal::forbidden("The key in the path is not known here.")),
        };
    }
    let is_admitted = options.is_open
        || options
            .allow
            .iter()
            .any(|network| network.contains(address))
        || shared.tokens.role(&request.headers).is_some();
    if is_admitted {
        return Ok(());
    }
    Err(Refusal::forbidden(
        "Clients at your address need a key in the path, /k/<key>/<exchange>/…, or must be allowed by the owner of this \
         server.",
    ))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn a_key_is_taken_out_of_the_path() {
        for (given, key, left) in [
            (
                "/k/abc/binance.com/ws?a=1",
                Some("abc"),
                "/binance.com/ws?a=1",
            ),
            ("/k/abc", Some("abc"), "/"),
            ("/k/abc?x=1", Some("abc"), "/?x=1"),
            ("/k//binance.com/ws", Some(""), "/binance.com/ws"),
            ("/binance.com/k/abc", None, "/binance.com/k/abc"),
            (
                "http://host:1/k/a/v1/books",
                Some("a"),
                "http://host:1/v1/books",
            ),
        ] {
            let request = Request::get(given).body(()).expect("a request");
            let mut parts = request.into_parts().0;
            assert_eq!(take_key(&mut parts).as_deref(), key, "{given}");
            assert_eq!(parts.uri.to_string(), left);
        }
    }
}
