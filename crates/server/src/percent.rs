//! Percent-encoding of paths.

/// A text without percent-encoding; `+`, `&` and `=` stand for themselves, as in a path.
pub fn percent_decoded(text: &str) -> String {
    let text = text
        .replace('+', "%2B")
        .replace('&', "%26")
        .replace('=', "%3D");
    let mut names = form_urlencoded::parse(text.as_bytes()).map(|(name, _)| name);
    names.next().unwrap_or_default().into_owned()
}
