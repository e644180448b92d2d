//! Errors in the shape of the exchange: `{"code":-1121,"msg":"Invalid symbol."}`.

use axum::response::Response;
use depthcache_wire::writer::Object;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

use crate::call::typed;

/// What the exchange sends as the type of its JSON.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=UTF-8");

/// Why a request is refused. Codes and words are the exchange's own, where it has them (spot docs 2026-07-21, USD-M
/// error codes 2026-05-28).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub code: i32,
    pub words: String,
    pub retry_after_s: Option<u32>,
}

impl Refusal {
    /// A request that cannot work.
    pub fn bad(code: i32, words: impl Into<String>) -> Refusal {
        Refusal {
            status: StatusCode::BAD_REQUEST,
            code,
            words: words.into(),
            retry_after_s: None,
        }
    }

    /// The exchange does not know the symbol, or this server holds no book of it.
    pub fn unknown_symbol() -> Refusal {
        Refusal::bad(-1121, "Invalid symbol.")
    }

    /// Not now.
    pub fn later(words: impl Into<String>) -> Refusal {
        Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: -1001,
            words: words.into(),
            retry_after_s: Some(1),
        }
    }

    /// The sender may not ask.
    pub fn forbidden(words: impl Into<String>) -> Refusal {
        Refusal {
            status: StatusCode::FORBIDDEN,
            code: -2015,
            words: words.into(),
            retry_after_s: None,
        }
    }

    /// Nothing is served there.
    pub fn no_path(words: impl Into<String>) -> Refusal {
        Refusal {
            status: StatusCode::NOT_FOUND,
            code: -5000,
            words: words.into(),
            retry_after_s: None,
        }
    }

    pub fn into_response(self) -> Response {
        let mut out = Vec::new();
        let mut body = Object::begin(&mut out);
        body.integer("code", self.code.into());
        body.text("msg", &self.words);
        body.end();
        let mut response = typed(JSON, out);
        *response.status_mut() = self.status;
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}
