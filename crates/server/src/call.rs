//! A request as endpoints see it, and the responses that they make.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use http::request::Parts;

use crate::cluster::Cluster;
use crate::parameters::Query;
use crate::problem::{JSON, Problem};
use crate::registry::Book;
use crate::sender::Sender;
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

    /// Who sent it; known only for requests that follow books, and for those of nodes.
    pub fn sender(&self) -> Option<&Sender> {
        self.request.extensions.get()
    }

    /// The cluster, for requests that other nodes may answer; None for what another node asks.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.shared.cluster.as_ref().filter(|_| !self.is_of_node())
    }

    /// Whether another node sent it.
    pub fn is_of_node(&self) -> bool {
        self.sender().is_some_and(Sender::is_node)
    }

    /// A body of JSON, an object, which says which node answers.
    pub fn answer(&self, mut body: Vec<u8>) -> Response {
        self.shared.sign(&mut body);
        json(body)
    }

    /// The book that the path names.
    pub fn book(&self) -> Result<Book, Problem> {
        let (exchange, symbol) = (self.path("exchange"), self.path("symbol"));
        let registry = &self.shared.registry;
        registry.find_to_read(self.is_of_node(), Some(exchange), symbol, true)
    }

    /// The same, once it may be read, or after as long as the sender waits for that.
    pub async fn settled_book(&self) -> Result<Book, Problem> {
        let book = self.book()?;
        self.settle(std::slice::from_ref(&book)).await?;
        Ok(book)
    }

    /// Wait for books as long as the sender does.
    pub async fn settle(&self, books: &[Book]) -> Result<(), Problem> {
        let patience = self.query.patience()?;
        let is_over = || self.shared.is_draining();
        self.shared.waiting.settle(books, patience, is_over).await;
        Ok(())
    }
}

/// A body of JSON.
pub fn json(body: impl Into<Bytes>) -> Response {
    typed(JSON, body)
}

/// A body of any type.
pub fn typed(kind: HeaderValue, body: impl Into<Bytes>) -> Response {
    /// What endpoints, the entrance and hyper add.
    const HEADERS: usize = 10;
    let mut response = Response::new(Body::from(body.into()));
    response.headers_mut().reserve(HEADERS);
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, kind);
    response
}
