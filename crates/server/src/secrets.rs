//! How secrets of this server are known where they are not expected: in a path, in a query, under a wrong name.

/// What begins a secret of ours.
const SECRETS: [&str; 3] = ["dcr_", "dca_", "dcx_"];

/// Whether a text has one of our secrets, however it is encoded.
pub fn is_secret(text: &str) -> bool {
    let plain = decoded(text);
    SECRETS.iter().any(|begin| plain.contains(begin))
}

/// A path in a log line or an error: without the secrets in it, and without what follows a segment `k`. That is a key
/// at another place than the first, as of a client whose address ends with a slash.
pub fn shown_path(path: &str) -> String {
    let is_k = |segment: &str| segment.eq_ignore_ascii_case("k");
    let mut is_key = false;
    let parts = path.split('/').map(|part| {
        let plain = decoded(part);
        let inner: Vec<&str> = plain.split('/').collect(); // a slash may be encoded, too
        let (last, before) = inner.split_last().unwrap_or((&"", &[]));
        let is_hidden = std::mem::replace(&mut is_key, is_k(last))
            || before.iter().any(|segment| is_k(segment))
            || is_secret(part);
        if is_hidden { "…" } else { part }
    });
    let parts: Vec<&str> = parts.collect();
    parts.join("/")
}

/// A text without its percent signs, only to look at.
pub fn decoded(text: &str) -> String {
    let pairs = form_urlencoded::parse(text.as_bytes());
    pairs
        .map(|(name, value)| format!("{name}{value}"))
        .collect()
}
