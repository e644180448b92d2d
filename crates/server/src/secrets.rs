//! Recognizes secrets of this server where they are not expected: in a path, in a query, under a wrong name.

use crate::percent::percent_decoded;

/// How a secret of this server begins.
const SECRETS: [&str; 4] = ["dcr_", "dca_", "dcx_", "dcj_"];

/// Whether a text contains one of them, percent-encoded or not.
pub fn is_secret(text: &str) -> bool {
    let plain = percent_decoded(text);
    SECRETS.iter().any(|begin| plain.contains(begin))
}

/// A path for a log line or an error: without secrets, and without what follows a segment `k`, which is a key that is
/// not at the start of the path, as of a client whose base URL ends with a slash.
pub fn shown_path(path: &str) -> String {
    let is_k = |segment: &str| segment.eq_ignore_ascii_case("k");
    let mut is_key = false;
    let parts = path.split('/').map(|part| {
        let plain = percent_decoded(part);
        let inner: Vec<&str> = plain.split('/').collect(); // a slash may be encoded
        let (last, before) = inner.split_last().unwrap_or((&"", &[]));
        let is_hidden = std::mem::replace(&mut is_key, is_k(last))
            || before.iter().any(|segment| is_k(segment))
            || is_secret(part);
        if is_hidden { "…" } else { part }
    });
    let parts: Vec<&str> = parts.collect();
    parts.join("/")
}
