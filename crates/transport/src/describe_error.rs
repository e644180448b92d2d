//! Errors as one line for people, and what others wrote made safe to show.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;

use http::header::{DATE, HeaderName, LOCATION, RETRY_AFTER, TRANSFER_ENCODING};
use http::{HeaderMap, Response};
use rustls::{CertificateError, Error as TlsError};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::connect::ConnectError;
use crate::event::Refusal;

/// Characters of a reason; what was written by somebody else has no end of its own.
const LONGEST: usize = 300;

/// Characters of what the other side wrote in the body of a refusal, or instead of HTTP.
const MOST_QUOTED: usize = 200;

/// Characters of a header that is passed on as it came.
const MOST_OF_HEADER: usize = 100;

/// What somebody else wrote, as one printable line with an end: escapes for terminals, line breaks that would
/// forge log lines and marks that turn the reading direction around are shown as what they are. User and
/// password of a URL are left out. `depthcache.foreign_text.clean` does the same for the other networks.
pub fn clean(text: &str) -> String {
    let (line, _) = visible(text, 4 * LONGEST);
    let line = without_credentials(line.trim());
    let whole = text.chars().count();
    if line.chars().count() <= LONGEST && whole <= 4 * LONGEST {
        return line;
    }
    let mark = format!("… ({whole} characters)");
    let kept = LONGEST - mark.chars().count();
    line.chars().take(kept).collect::<String>() + &mark
}

/// The beginning of what the other side wrote, of about `most` characters, as one printable line.
pub fn quoted(text: &str, most: usize) -> String {
    let (mut line, is_whole) = visible(text.trim(), most);
    if !is_whole {
        line.push('…');
    }
    line
}

/// One printable line: runs of white space become one space, what does not print (controls, direction marks,
/// line separators) becomes a visible escape. It ends once it has `most` characters; whether that was all.
fn visible(text: &str, most: usize) -> (String, bool) {
    let mut line = String::with_capacity(text.len().min(4 * most));
    let mut characters = 0;
    for letter in text.chars() {
        if characters >= most {
            return (line, false);
        }
        if letter.is_ascii_whitespace() || letter == '\u{b}' {
            if line.ends_with(' ') {
                continue;
            }
            line.push(' ');
            characters += 1;
            continue;
        }
        let before = line.len();
        push_visible(&mut line, letter);
        characters += line[before..].chars().count();
    }
    (line, true)
}

fn push_visible(line: &mut String, letter: char) {
    let prints = matches!(letter, '\'' | '"' | '\\') || letter.escape_debug().len() == 1;
    let _ = match u32::from(letter) {
        _ if prints => line.write_char(letter),
        code @ ..0x100 => write!(line, "\\x{code:02x}"),
        code @ ..0x1_0000 => write!(line, "\\u{code:04x}"),
        code => write!(line, "\\U{code:08x}"),
    };
}

fn without_credentials(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, host) = rest.split_at(at + 3);
        let end = host.find(|letter: char| " /?#'\"<>".contains(letter));
        let user = host[..end.unwrap_or(host.len())].rfind('@');
        kept.push_str(before);
        rest = match user {
            Some(user) => {
                kept.push('…');
                &host[user..]
            }
            None => host,
        };
    }
    kept + rest
}

/// Why a handshake failed. `seen`: the bytes of its answer.
pub fn handshake(error: &Error, seen: &[u8]) -> String {
    match error {
        Error::Io(why) => io(why),
        Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            "the connection broke during the WebSocket handshake".to_owned()
        }
        Error::AttackAttempt => {
            "the answer to the WebSocket handshake is too long or comes in too many pieces"
                .to_owned()
        }
        _ if !seen.is_empty() && !seen.starts_with(b"HTTP/") => {
            let start = String::from_utf8_lossy(&seen[..seen.len().min(4 * MOST_QUOTED)]);
            format!(
                "no HTTP answer to the WebSocket handshake: {}",
                quoted(&start, MOST_QUOTED)
            )
        }
        other => format!("the WebSocket handshake failed: {other}"),
    }
}

/// An HTTP answer instead of the handshake's, and the beginning of its body.
pub fn refused<T>(answer: &Response<T>, body: &[u8]) -> ConnectError {
    let status = answer.status();
    let headers = answer.headers();
    let reason = match header(headers, &LOCATION) {
        Some(location) if status.is_redirection() => {
            format!("redirected to {location}, which is not followed")
        }
        _ => {
            let name = status.canonical_reason().unwrap_or("without a name");
            let told = format!(
                "the WebSocket handshake was answered with HTTP {} ({name})",
                status.as_u16()
            );
            let chunked = headers.contains_key(TRANSFER_ENCODING);
            match quoted(
                &String::from_utf8_lossy(first_chunk(body, chunked)),
                MOST_QUOTED,
            ) {
                text if text.is_empty() => told,
                text => format!("{told}: {text}"),
            }
        }
    };
    ConnectError {
        reason,
        refusal: Some(Refusal {
            status: status.as_u16(),
            retry_after: header(headers, &RETRY_AFTER),
            date: header(headers, &DATE),
        }),
    }
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

/// Of a chunked body (RFC 9112, 7.1) the first chunk; it is only shown.
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

/// Why a live connection broke, and the code of the close frame where the other side
/// broke the rules.
pub fn broken(error: &Error) -> (Option<CloseCode>, String) {
    let code = match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | Error::ConnectionClosed
        | Error::AlreadyClosed => {
            return (None, "the connection broke without a goodbye".to_owned());
        }
        Error::Io(why) => return (None, io(why)),
        Error::WriteBufferFull(_) => {
            let words = "more output waits than is kept: the other side does not read";
            return (None, words.to_owned());
        }
        Error::Capacity(CapacityError::MessageTooLong { .. }) => CloseCode::Size,
        Error::Utf8(_) => CloseCode::Invalid,
        _ => CloseCode::Protocol,
    };
    (Some(code), format!("broken WebSocket data: {error}"))
}

/// Why a proxy made no connection. The innermost reason says most.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_print_is_shown_as_what_it_is() {
        let text = "a\u{1b}[2J\r\n\tb\u{85}\u{9b}\u{202e}\u{2028}\u{7f}\0c\u{e0001} \"d\" \\ 币安";
        let line = "a\\x1b[2J b\\x85\\x9b\\u202e\\u2028\\x7f\\x00c\\U000e0001 \"d\" \\ 币安";
        assert_eq!(clean(text), line);
        assert_eq!(quoted(text, 100), line);
        assert_eq!(quoted(line, 100), line);
    }

    #[test]
    fn a_long_text_is_cut_and_says_so_and_a_clean_one_stays() {
        let cut = clean(&"x".repeat(60_000));
        assert_eq!(cut.chars().count(), LONGEST);
        assert!(cut.ends_with("x… (60000 characters)"));
        assert_eq!(clean(&cut), cut);
        assert_eq!(quoted("币安人生", 2), "币安…");
        let long = "\u{1b}".repeat(1_000_000);
        assert!(quoted(&long, 300).chars().count() <= 304);
    }

    #[test]
    fn users_and_passwords_are_left_out() {
        let text =
            "redirected to http://us@er:secret@evil/a@b, via ws://b:c@d and http://plain/x@y";
        assert_eq!(
            clean(text),
            "redirected to http://…@evil/a@b, via ws://…@d and http://plain/x@y"
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
