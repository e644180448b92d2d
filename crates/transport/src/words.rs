//! Errors as one line for people.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;

use http::Response;
use http::header::LOCATION;
use rustls::{CertificateError, Error as TlsError};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Characters of a reason; what was written by somebody else has no end of its own.
const LONGEST: usize = 300;

/// What somebody else wrote, as one printable line with an end: escapes for terminals, line breaks that would
/// forge log lines and marks that turn the reading direction around are shown as what they are. User and
/// password of a URL are left out. `depthcache.foreign_text.clean` does the same for the other networks.
pub fn clean(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(4 * LONGEST));
    for letter in text.chars().take(4 * LONGEST) {
        match letter {
            ' ' | '\t' | '\r' | '\n' => {
                if !line.ends_with(' ') {
                    line.push(' ');
                }
            }
            '"' | '\'' | '\\' => line.push(letter),
            _ => push_visible(&mut line, letter),
        }
    }
    let line = without_credentials(line.trim());
    let whole = text.chars().count();
    if line.chars().count() <= LONGEST && whole <= 4 * LONGEST {
        return line;
    }
    let mark = format!("… ({whole} characters)");
    let kept = LONGEST - mark.chars().count();
    line.chars().take(kept).collect::<String>() + &mark
}

fn push_visible(line: &mut String, letter: char) {
    let shown = letter.escape_debug();
    let number = u32::from(letter);
    if shown.len() == 1 {
        line.push(letter);
    } else if number < 0x100 {
        let _ = write!(line, "\\x{number:02x}");
    } else if number < 0x1_0000 {
        let _ = write!(line, "\\u{number:04x}");
    } else {
        let _ = write!(line, "\\U{number:08x}");
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_print_is_shown_as_what_it_is() {
        let text = "a\u{1b}[2J\r\n\tb\u{85}\u{9b}\u{202e}\u{2028}\u{7f}\0c\u{e0001} \"d\" \\ 币安";
        assert_eq!(
            clean(text),
            "a\\x1b[2J b\\x85\\x9b\\u202e\\u2028\\x7f\\x00c\\U000e0001 \"d\" \\ 币安"
        );
    }

    #[test]
    fn a_long_text_is_cut_and_says_so_and_a_clean_one_stays() {
        let cut = clean(&"x".repeat(60_000));
        assert_eq!(cut.chars().count(), LONGEST);
        assert!(cut.ends_with("x… (60000 characters)"));
        assert_eq!(clean(&cut), cut);
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
}
