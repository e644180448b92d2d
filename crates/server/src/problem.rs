//! The one shape of errors: `{"error": {"code", "message", …facts}}`.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use depthcache_wire::writer::{Object, string};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use crate::secrets::is_secret;

/// A fact of an error.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    Text(String),
    Texts(Vec<String>),
    Integer(Option<i64>),
    Float(f64),
}

/// Why a request is not answered as asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub status: StatusCode,
    code: &'static str,
    message: String,
    facts: Vec<(&'static str, Fact)>,
    retry_after_s: Option<u32>,
    allow: Option<HeaderValue>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Problem {
        Problem {
            status,
            code,
            message: message.into(),
            facts: Vec::new(),
            retry_after_s: None,
            allow: None,
        }
    }

    /// A parameter that cannot work: its name, its value and what is allowed. A secret in the wrong place is not
    /// repeated, because programs log errors.
    pub fn parameter(name: &str, value: &str, allowed: impl Into<String>) -> Problem {
        const NAMES: [&str; 3] = ["token", "secret", "key"];
        let lower = name.to_ascii_lowercase();
        let is_hidden = NAMES.iter().any(|word| lower.contains(word)) || is_secret(value);
        let value = match is_hidden && !value.is_empty() {
            true => "(not shown)".to_owned(),
            false => shortened(value),
        };
        let allowed = allowed.into();
        let message = format!("{name} is {value:?}; allowed: {allowed}");
        Problem::new(StatusCode::BAD_REQUEST, "invalid_parameter", message)
            .fact("name", Fact::Text(shortened(name)))
            .fact("value", Fact::Text(value))
            .fact("allowed", Fact::Text(allowed))
    }

    /// No usable token.
    pub fn unauthorized() -> Problem {
        let message = "send a token of this server: Authorization: Bearer TOKEN";
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub fn forbidden(code: &'static str, message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, code, message)
    }

    /// The message alone.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn fact(mut self, name: &'static str, fact: Fact) -> Problem {
        self.facts.push((name, fact));
        self
    }

    pub fn text(self, name: &'static str, text: impl Into<String>) -> Problem {
        self.fact(name, Fact::Text(text.into()))
    }

    pub fn retry_after(mut self, seconds: u32) -> Problem {
        self.retry_after_s = Some(seconds);
        self
    }

    pub fn allow(mut self, methods: HeaderValue) -> Problem {
        self.allow = Some(methods);
        self
    }

    /// What is wrong, for people.
    pub fn words(&self) -> &str {
        &self.message
    }

    /// The object of the error alone, for lists of what is missing.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut error = Object::begin(out);
        error.text("code", self.code);
        error.text("message", &self.message);
        for (name, fact) in &self.facts {
            match fact {
                Fact::Text(text) => error.text(name, text),
                Fact::Integer(number) => error.optional(name, *number),
                Fact::Float(number) => error.float(name, Some(*number)),
                Fact::Texts(texts) => {
                    let out = error.key(name);
                    out.push(b'[');
                    for (index, text) in texts.iter().enumerate() {
                        if index > 0 {
                            out.push(b',');
                        }
                        string(out, text);
                    }
                    out.push(b']');
                }
            }
        }
        error.end();
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = b"{\"error\":".to_vec();
        self.write(&mut body);
        body.push(b'}');
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(methods) = self.allow {
            headers.insert(ALLOW, methods);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What a response says of text that others sent: not more than a line.
pub fn shortened(text: &str) -> String {
    const MOST: usize = 100;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_at_the_wrong_place_is_not_repeated() {
        for (name, value, is_shown) in [
            ("levels", "-1", true),
            ("tokn", "dcr_7Qabc", false),
            ("token", "hunter2", false),
            ("api_Key", "hunter2", false),
        ] {
            let mut out = Vec::new();
            Problem::parameter(name, value, "another").write(&mut out);
            let text = String::from_utf8(out).expect("JSON is UTF-8");
            assert_eq!(text.contains(value), is_shown, "{text}");
        }
    }
}
