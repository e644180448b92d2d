//! A request as endpoints see it, and the responses that they make.

use std::sync::Arc;

use axum::response::Response;
use http::HeaderValue;
use http::request::Parts;

use crate::parameters::Query;
use crate::problem::{JSON, Problem};
use crate::registry::Book;
use crate::shared::Shared;

/// A request whose access is granted and whose parameters are known to its route.
pub struct Call<'a> {
    pub shared: &'a Arc<Shared>,
    pub request: &'a Parts,
    pub query: Query,
    pub path: Vec<(String, String)>,
}

impl Call<'_> {
    /// A parameter of the path; empty for one that the route does not have.
    pub fn path(&self, name: &str) -> &str {
        let found = self.path.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The book that the path names.
    pub fn book(&self) -> Result<Book, Problem> {
        let registry = &self.shared.registry;
        registry.find(Some(self.path("exchange")), self.path("symbol"), true)
    }
}

/// A body of JSON.
pub fn json(body: Vec<u8>) -> Response {
    typed(JSON, body)
}

/// A body of any type.
pub fn typed(kind: HeaderValue, body: Vec<u8>) -> Response {
    /// What endpoints, the entrance and hyper add.
    const HEADERS: usize = 10;
    let mut response = Response::new(body.into());
    response.headers_mut().reserve(HEADERS);
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, kind);
    response
}
