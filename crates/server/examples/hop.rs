//! A bare axum relay of reads: the baseline of a benchmark of reads that another node of a cluster answers.
//!
//! `hop BYTES` prints two ports and serves until its standard input ends: `/fixed` gives that many bytes on the second
//! one; the first one gets them there for each request, over kept connections, and hands them on. It checks nothing, asks
//! no other host if one is slow, and speaks plain HTTP.

use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HOST};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Runtime};

type Connection = SendRequest<Empty<Bytes>>;

fn main() {
    let bytes = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let body = Bytes::from(vec![b'x'; bytes.expect("the number of bytes")]);
    // Two nodes of two threads each, as in the cluster that is compared with it.
    let (near, far) = (threads(), threads());
    let far_port = far.block_on(async {
        let answer = async move || ([(CONTENT_TYPE, "application/json")], body.clone());
        serve(Router::new().route("/fixed", get(answer))).await
    });
    let near_port = near.block_on(async {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let answer = async move || forward(far_port, &kept).await;
        serve(Router::new().route("/fixed", get(answer))).await
    });
    println!("{near_port} {far_port}");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn threads() -> Runtime {
    let mut builder = runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all();
    builder.build().expect("threads")
}

async fn serve(router: Router) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
    port
}

async fn forward(port: u16, kept: &Mutex<Vec<Connection>>) -> Response {
    let connection = kept.lock().pop();
    let mut connection = match connection {
        Some(connection) => connection,
        None => connect(port).await,
    };
    connection.ready().await.expect("it is open");
    let request = Request::get("/fixed").header(HOST, "127.0.0.1");
    let request = request.body(Empty::new()).expect("a request");
    let response = connection.send_request(request).await.expect("an answer");
    let body = response.into_body().collect().await.expect("whole");
    kept.lock().push(connection);
    let response = Response::builder().header(CONTENT_TYPE, "application/json");
    response
        .body(Body::from(body.to_bytes()))
        .expect("a response")
}

async fn connect(port: u16) -> Connection {
    let stream = TcpStream::connect(("127.0.0.1", port)).await;
    let stream = stream.expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let (connection, driven) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(driven);
    connection
}
