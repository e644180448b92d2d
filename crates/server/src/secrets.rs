//! How secrets of this server are known where they are not expected: in a path, in a query, under a wrong name.

/// What begins a secret of ours.
const SECRETS: [&str; 3] = ["dcr_", "dca_", "dcx_"];

/// Whether a text has one of our secrets, however it is encoded.
pub fn is_secret(text: &str) -> bool {
    let plain = decoded(text);
    SECRETS.iter().any(|begin| plain.contains(begin))
}

/// A text without its percent signs, only to look at.
pub fn decoded(text: &str) -> String {
    let pairs = form_urlencoded::parse(text.as_bytes());
    pairs
        .map(|(name, value)| format!("{name}{value}"))
        .collect()
}
