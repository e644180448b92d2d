//! A bare axum handler that returns fixed bytes: what a benchmark compares the book server with.
//!
//! `bare BYTES` prints its port and serves until its standard input ends.

use std::io::Read;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tokio::runtime;

fn main() {
    let bytes = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let body = Bytes::from(vec![b'x'; bytes.expect("the number of bytes")]);
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads");
    runtime.spawn(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!("{}", listener.local_addr().expect("bound").port());
        let answer = async move || ([(CONTENT_TYPE, "application/json")], body.clone());
        axum::serve(listener, Router::new().route("/fixed", get(answer)))
            .await
            .expect("it serves");
    });
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
