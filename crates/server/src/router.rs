//! From a request to its endpoint: the table of routes as a router.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::{Method, StatusCode};

use crate::call::Call;
use crate::forwarding::OneBook;
use crate::parameters::Query;
use crate::problem::{Problem, shortened};
use crate::secrets::shown_path;
use crate::sender::Sender;
use crate::shared::Shared;
use crate::table::{BookRead, Endpoint, ROUTES, Route};
use crate::{analytics, books, managing, many, operation, strangers, stream};

/// The router of all routes.
pub fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new();
    for (index, route) in ROUTES.iter().enumerate() {
        router = router.route(route.path, handler(index, route));
    }
    router
        .fallback(no_path)
        .method_not_allowed_fallback(no_method)
        .with_state(shared)
}

fn handler(index: usize, route: &'static Route) -> MethodRouter<Arc<Shared>> {
    let filter = match route.method {
        "PUT" => MethodFilter::PUT,
        "POST" => MethodFilter::POST,
        "PATCH" => MethodFilter::PATCH,
        "DELETE" => MethodFilter::DELETE,
        _ => MethodFilter::GET, // and HEAD
    };
    on(
        filter,
        async move |State(shared): State<Arc<Shared>>,
                    path: Result<RawPathParams, RawPathParamsRejection>,
                    request: Request| {
            let began = Instant::now();
            let response = respond(&shared, route, path, request)
                .await
                .unwrap_or_else(Problem::into_response);
            shared.statistics.count(index, response.status());
            if matches!(route.endpoint, Endpoint::Books | Endpoint::OfBook(_)) {
                shared.statistics.on_read(began.elapsed());
            }
            response
        },
    )
}

async fn respond(
    shared: &Arc<Shared>,
    route: &'static Route,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let proven = parts.extensions.get().and_then(Sender::role);
    shared.tokens.check(route.access, &parts.headers, proven)?;
    let path = path.map_err(|_| {
        let allowed = "UTF-8 behind its percent signs";
        Problem::parameter("path", &shown_path(parts.uri.path()), allowed)
    })?;
    let call = Call {
        shared,
        query: Query::parse(route, parts.uri.query())?,
        path: path
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        request: &parts,
    };
    match route.endpoint {
        Endpoint::Books if call.query.get("symbols").is_some() => many::read(&call).await,
        Endpoint::Books => books::list(&call).await,
        Endpoint::OfBook(read) => of_book(&call, read).await,
        Endpoint::Stats => Ok(operation::stats(shared)),
        Endpoint::Metrics => Ok(operation::metrics(shared).await),
        Endpoint::Healthy => Ok(operation::healthy()),
        Endpoint::Ready => operation::ready(shared),
        Endpoint::Document => operation::document(&call),
        Endpoint::Socket => stream::socket(&call),
        Endpoint::Stream => stream::stream(&call).await,
        Endpoint::Authority => strangers::authority(&call),
        Endpoint::Joining => strangers::delegate(&call, route, body).await,
        Endpoint::Delegated => managing::delegate(&call, route, body).await,
    }
}

/// Read one book: here if this server has a current replica, else at another node that has one.
async fn of_book(call: &Call<'_>, read: BookRead) -> Result<Response, Problem> {
    let Some(book) = OneBook::of(call)? else {
        return of_book_here(call, read).await;
    };
    if let Some(own) = book.of_own(call) {
        match of_book_here(&own, read).await {
            Err(why) if OneBook::gives_way(&why) => {}
            found => return found,
        }
    }
    match book.ask(call).await? {
        Some(response) => Ok(response),
        None => of_book_here(call, read).await,
    }
}

async fn of_book_here(call: &Call<'_>, read: BookRead) -> Result<Response, Problem> {
    match read {
        BookRead::Levels => books::read(call).await,
        BookRead::Best => books::best(call).await,
        BookRead::Fill => analytics::fill(call).await,
        BookRead::Depth => analytics::depth(call).await,
        BookRead::Imbalance => analytics::imbalance(call).await,
        BookRead::Prices => analytics::prices(call).await,
        BookRead::SizeToMove => analytics::size_to_move(call).await,
        BookRead::Grouped => analytics::grouped(call).await,
    }
}

async fn no_path(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    if matches!(*method, Method::GET | Method::HEAD)
        && let Some(document) = shared.documents.get(path)
    {
        let response = document.respond(request.headers());
        shared.statistics.count(ROUTES.len(), response.status());
        return response;
    }
    let path = shortened(&shown_path(path));
    let message = format!("there is nothing at {path:?}; /docs lists the paths");
    let problem = Problem::new(StatusCode::NOT_FOUND, "unknown_path", message);
    shared.statistics.count(ROUTES.len(), problem.status);
    problem.text("path", path).into_response()
}

async fn no_method(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    shared.statistics.count(ROUTES.len(), status);
    let message = format!(
        "{} is not for this path",
        shortened(request.method().as_str())
    );
    // axum adds the header Allow.
    Problem::new(status, "method_not_allowed", message).into_response()
}
