//! Errors as one line for people.

use std::error::Error as StdError;
use std::io;

use http::Response;
use http::header::LOCATION;
use rustls::{CertificateError, Error as TlsError};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Why a handshake failed.
pub fn handshake(error: &Error) -> String {
    match error {
        Error::Http(answer) => refused(answer),
        Error::Io(why) => io(why),
        Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            "the connection broke during the WebSocket handshake".to_owned()
        }
        other => format!("the WebSocket handshake failed: {other}"),
    }
}

fn refused<T>(answer: &Response<T>) -> String {
    let status = answer.status();
    if status.is_redirection()
        && let Some(place) = answer.headers().get(LOCATION)
    {
        let place = String::from_utf8_lossy(place.as_bytes());
        return format!("redirected to {place}, which is not followed");
    }
    let name = status.canonical_reason().unwrap_or("without a name");
    format!(
        "the WebSocket handshake was answered with HTTP {} ({name})",
        status.as_u16()
    )
}

/// Why a live connection broke, and the code with which to say goodbye where the other side
/// broke the rules.
pub fn broken(error: &Error) -> (Option<CloseCode>, String) {
    let code = match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | Error::ConnectionClosed
        | Error::AlreadyClosed => {
            return (None, "the connection broke without a goodbye".to_owned());
        }
        Error::Io(why) => return (None, io(why)),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => CloseCode::Size,
        Error::Utf8(_) => CloseCode::Invalid,
        _ => CloseCode::Protocol,
    };
    (Some(code), format!("broken WebSocket data: {error}"))
}

/// Why no connection came about below TLS. The innermost reason says most.
pub fn connect(error: &(dyn StdError + 'static)) -> String {
    innermost(error)
}

/// The same where a proxy stands in between.
pub fn proxy(error: &(dyn StdError + 'static)) -> String {
    // The kinds of these errors are known by their texts only (hyper-util 0.1.21).
    let text = innermost(error);
    if text.contains("proxy authorization required") {
        "the proxy answered with HTTP 407 (Proxy Authentication Required)".to_owned()
    } else if text.contains("tunnel error: unsuccessful") {
        "the proxy refused to make the connection".to_owned()
    } else {
        format!("through the proxy: {text}")
    }
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut deepest = error;
    while let Some(below) = deepest.source() {
        deepest = below;
    }
    let text = deepest.to_string();
    let outer = error.to_string();
    if text.contains(&outer) || outer.contains(&text) {
        text
    } else {
        format!("{outer}: {text}")
    }
}

/// An error of a socket, with what TLS has to say about it.
pub fn io(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(TlsError::InvalidCertificate(why)) => {
            format!("the TLS certificate was refused: {}", certificate(why))
        }
        Some(why) => format!("TLS failed: {why}"),
        None => error.to_string(),
    }
}

fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => {
            "unable to get local issuer certificate: no known authority has signed it".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("certificate has expired: {why}")
        }
        other => other.to_string(),
    }
}
