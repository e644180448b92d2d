//! Describe errors as text.

use std::error::Error as StdError;
use std::io;

use http::header::{DATE, HeaderName, LOCATION, RETRY_AFTER, TRANSFER_ENCODING};
use http::{HeaderMap, Response};
use rustls::{CertificateError, Error as TlsError, InvalidMessage};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::event::Refusal;
use crate::foreign_text::quoted;

/// Most characters to quote from the body of a refusal, or from a response that is not HTTP.
const MOST_QUOTED: usize = 200;

/// The first bytes of a TLS alert (RFC 8446, 5.1): how a TLS server responds to a handshake in plain HTTP.
const TLS_ALERT: &[u8] = b"\x15\x03";

/// Most characters of a header that is passed on.
const MOST_OF_HEADER: usize = 100;

/// Why a handshake failed. `seen`: the bytes of the response.
pub fn handshake(error: &Error, seen: &[u8]) -> String {
    match error {
        Error::Io(why) => io(why),
        Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            "the connection was lost during the WebSocket handshake".to_owned()
        }
        Error::AttackAttempt => {
            "the response to the WebSocket handshake is too long or too fragmented".to_owned()
        }
        _ if seen.starts_with(TLS_ALERT) => {
            "the server speaks TLS, but the URL has no https:// or wss://".to_owned()
        }
        _ if !seen.is_empty() && !seen.starts_with(b"HTTP/") => {
            let start = String::from_utf8_lossy(&seen[..seen.len().min(4 * MOST_QUOTED)]);
            format!(
                "the response to the WebSocket handshake is not HTTP: {}",
                quoted(&start, MOST_QUOTED)
            )
        }
        other => format!("the WebSocket handshake failed: {other}"),
    }
}

/// Describe an HTTP response that refused the handshake, with the beginning of its body.
pub fn refused<T>(answer: &Response<T>, body: &[u8]) -> (String, Refusal) {
    let status = answer.status();
    let headers = answer.headers();
    let reason = match header(headers, &LOCATION) {
        Some(location) if status.is_redirection() => {
            format!("redirected to {location}; redirects are not followed")
        }
        _ => {
            let name = status.canonical_reason().unwrap_or("without a name");
            let status_line = format!(
                "the server answered the WebSocket handshake with HTTP {} ({name})",
                status.as_u16()
            );
            let chunked = headers.contains_key(TRANSFER_ENCODING);
            match quoted(
                &String::from_utf8_lossy(first_chunk(body, chunked)),
                MOST_QUOTED,
            ) {
                text if text.is_empty() => status_line,
                text => format!("{status_line}: {text}"),
            }
        }
    };
    let refusal = Refusal {
        status: status.as_u16(),
        retry_after: header(headers, &RETRY_AFTER),
        date: header(headers, &DATE),
    };
    (reason, refusal)
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(name)?.as_bytes());
    let most = if name == LOCATION {
        MOST_QUOTED
    } else {
        MOST_OF_HEADER
    };
    Some(quoted(&text, most))
}

/// The first chunk of a chunked body (RFC 9112, 7.1), which is enough to quote.
fn first_chunk(body: &[u8], chunked: bool) -> &[u8] {
    let size_ends = body.windows(2).position(|pair| pair == b"\r\n");
    match size_ends {
        Some(at) if chunked => {
            let size = std::str::from_utf8(&body[..at]).unwrap_or_default();
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).unwrap_or_default();
            let rest = &body[at + 2..];
            &rest[..rest.len().min(size)]
        }
        _ => body,
    }
}

/// Why an open connection broke, and the code of the close frame if the peer violated the protocol.
pub fn broken(error: &Error) -> (Option<CloseCode>, String) {
    let code = match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | Error::ConnectionClosed
        | Error::AlreadyClosed => {
            return (None, "ended without a close frame".to_owned());
        }
        Error::Io(why) => return (None, io(why)),
        Error::WriteBufferFull(_) => {
            let words = "the output buffer is full because the peer does not read";
            return (None, words.to_owned());
        }
        Error::Capacity(CapacityError::MessageTooLong { .. }) => CloseCode::Size,
        Error::Utf8(_) => CloseCode::Invalid,
        _ => CloseCode::Protocol,
    };
    (Some(code), format!("invalid WebSocket data: {error}"))
}

/// Why a proxy did not connect. The innermost error is the most specific.
pub fn proxy(error: &(dyn StdError + 'static)) -> String {
    // Only their texts tell these errors apart (hyper-util 0.1.21).
    let text = innermost(error);
    if text.contains("proxy authorization required") {
        "the proxy returned HTTP 407 (Proxy Authentication Required)".to_owned()
    } else if text.contains("tunnel error: unsuccessful") {
        "the proxy refused the connection".to_owned()
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

/// Describe a socket error, including those of TLS.
pub fn io(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(TlsError::InvalidCertificate(why)) => {
            format!("the TLS certificate was rejected: {}", certificate(why))
        }
        // The first bytes are those of another protocol, such as a response in plain HTTP.
        Some(TlsError::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "the server does not speak TLS".to_owned()
        }
        Some(why) => format!("TLS failed: {why}"),
        // rustls says so with the address of its documentation.
        None if error.to_string().contains("close_notify") => {
            "the peer closed the connection".to_owned()
        }
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
        CertificateError::Other(why) => why.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rustls::OtherError;

    use super::*;

    #[test]
    fn a_wrong_scheme_is_named() {
        let why = TlsError::InvalidMessage(InvalidMessage::InvalidContentType);
        let why = io::Error::new(io::ErrorKind::InvalidData, why);
        assert_eq!(io(&why), "the server does not speak TLS");
        let why = Error::Protocol(ProtocolError::HandshakeIncomplete);
        assert!(
            !handshake(&why, b"").contains("TLS"),
            "nothing is known of a peer that only closes"
        );
        let why = Error::Protocol(ProtocolError::WrongHttpVersion);
        let told = handshake(&why, b"\x15\x03\x01\x00\x02\x02F");
        assert!(told.starts_with("the server speaks TLS"), "{told}");
    }

    #[test]
    fn only_what_concerns_the_certificate_says_that_it_was_rejected() {
        let shown = |why: TlsError| io(&io::Error::new(io::ErrorKind::InvalidData, why));
        let other = std::sync::Arc::from(Box::<dyn StdError + Send + Sync>::from("not this one"));
        assert_eq!(
            shown(CertificateError::Other(OtherError(other)).into()),
            "the TLS certificate was rejected: not this one"
        );
        assert_eq!(
            shown(TlsError::General("no time".to_owned())),
            "TLS failed: unexpected error: no time"
        );
    }

    #[test]
    fn of_a_chunked_body_the_first_chunk_is_shown() {
        assert_eq!(first_chunk(b"3;x=y\r\nabc\r\n0\r\n\r\n", true), b"abc");
        assert_eq!(first_chunk(b"3\r\nabc", false), b"3\r\nabc");
        assert_eq!(first_chunk(b"zz\r\nabc", true), b"");
        assert_eq!(first_chunk(b"ffffffffffffffff\r\nabc", true), b"abc");
        assert_eq!(first_chunk(b"", true), b"");
    }
}
