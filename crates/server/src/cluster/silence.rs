//! Why another node gave no answer, in words for operators: what follows "node a1b2 …". The libraries below speak to
//! programmers, and one of them names its documentation.

use std::error::Error;
use std::io::{self, ErrorKind};

use rustls::{CertificateError, Error as TlsError};

pub const LATE: &str = "gave no answer in time";
pub const STOPPED: &str = "stopped in the middle of its answer";
pub const TOO_LONG: &str = "sent an answer that is too long";
/// Of an address or a request that cannot be written: a bug, or rubbish of another node.
pub const NO_ADDRESS: &str = "has an address that cannot be used";
const CLOSED: &str = "closed the connection";

/// Why a connection could not be made, or ended.
pub fn io(why: &io::Error) -> &'static str {
    let inner = why.get_ref().and_then(|inner| inner.downcast_ref());
    match (inner, why.kind()) {
        (Some(why), _) => tls(why),
        (None, ErrorKind::ConnectionRefused) => "refuses connections: its process may have ended",
        (
            None,
            ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable,
        ) => "cannot be reached at its address",
        (
            None,
            ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe,
        ) => CLOSED,
        (None, _) => "cannot be connected to",
    }
}

/// Why a request on a connection failed.
pub fn http(why: &hyper::Error) -> &'static str {
    if why.is_parse() {
        return "sent an answer that cannot be read";
    }
    let mut below = why.source();
    while let Some(error) = below {
        if let Some(error) = error.downcast_ref() {
            return io(error);
        }
        below = error.source();
    }
    CLOSED
}

fn tls(why: &TlsError) -> &'static str {
    match why {
        TlsError::InvalidCertificate(why) => certificate(why),
        TlsError::AlertReceived(_) => {
            "does not accept the certificate of this node: it may have ended, or the clocks differ"
        }
        _ => "does not speak TLS as a node does",
    }
}

fn certificate(why: &CertificateError) -> &'static str {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has a certificate that has ended, or the clocks differ"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "has a certificate that is not valid yet: the clocks differ"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is not at its address: another node answers there"
        }
        _ => "has no certificate of this cluster",
    }
}

#[cfg(test)]
mod tests {
    use rustls::AlertDescription;

    use super::*;

    #[test]
    fn no_words_of_a_library_are_shown() {
        let eof = "peer closed connection without sending TLS close_notify: https://docs.rs/rustls";
        for (why, words) in [
            (io::Error::new(ErrorKind::UnexpectedEof, eof), CLOSED),
            (
                io::Error::from_raw_os_error(111),
                "refuses connections: its process may have ended",
            ),
            (
                io::Error::other(TlsError::InvalidCertificate(
                    CertificateError::UnknownIssuer,
                )),
                "has no certificate of this cluster",
            ),
            (
                io::Error::other(TlsError::AlertReceived(
                    AlertDescription::CertificateExpired,
                )),
                "does not accept the certificate of this node: it may have ended, or the clocks differ",
            ),
        ] {
            assert_eq!(io(&why), words);
        }
    }
}
