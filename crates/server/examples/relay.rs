//! A bare relay of WebSocket frames: the baseline of a benchmark of the book server's streams.
//!
//! `relay PORT STREAMS CONNECTIONS` reads those streams (comma-separated) of the exchange on that port over so many
//! connections and forwards each frame as it came to all clients of `/stream?streams=…` that named it. It keeps no
//! books, checks nothing and drops clients that are too slow. It prints its port and relays until its standard input
//! ends.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use parking_lot::RwLock;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::mpsc::{self, Sender};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{accept_hdr_async, client_async};

/// Frames that wait for a client, at most.
const MOST_WAITING: usize = 1_024;

type Readers = Arc<RwLock<HashMap<String, Vec<Sender<Utf8Bytes>>>>>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, streams, connections] = arguments.as_slice() else {
        panic!("PORT STREAMS CONNECTIONS");
    };
    let port: u16 = port.parse().expect("a port");
    let streams: Vec<String> = streams.split(',').map(str::to_owned).collect();
    let connections: usize = connections.parse().expect("a count");
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads");
    let readers = Readers::default();
    for part in streams.chunks(streams.len().div_ceil(connections)) {
        runtime.spawn(forward(port, part.join("/"), readers.clone()));
    }
    runtime.spawn(serve(readers));
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

async fn forward(port: u16, streams: String, readers: Readers) {
    let stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let url = format!("ws://127.0.0.1:{port}/stream?streams={streams}");
    let (mut upstream, _) = client_async(url, stream).await.expect("a WebSocket");
    while let Some(Ok(message)) = upstream.next().await {
        let Message::Text(text) = message else {
            continue;
        };
        let Some(name) = text
            .strip_prefix(r#"{"stream":""#)
            .and_then(|rest| rest.split('"').next())
        else {
            continue;
        };
        if let Some(readers) = readers.read().get(name) {
            for reader in readers {
                let _ = reader.try_send(text.clone());
            }
        }
    }
}

async fn serve(readers: Readers) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", listener.local_addr().expect("bound").port());
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        tokio::spawn(send(stream, readers.clone()));
    }
}

async fn send(stream: TcpStream, readers: Readers) {
    let (sender, mut waiting) = mpsc::channel(MOST_WAITING);
    #[allow(clippy::result_large_err)] // the signature is tungstenite's
    let on_request = |request: &Request, response: Response| {
        let query = request.uri().query().unwrap_or_default();
        let named = query.strip_prefix("streams=").unwrap_or_default();
        let mut readers = readers.write();
        for name in named.split('/') {
            readers
                .entry(name.to_owned())
                .or_default()
                .push(sender.clone());
        }
        Ok(response)
    };
    let Ok(client) = accept_hdr_async(stream, on_request).await else {
        return;
    };
    drop(sender);
    let (mut out, mut incoming) = client.split();
    loop {
        tokio::select! {
            text = waiting.recv() => {
                let Some(text) = text else { break };
                if out.send(Message::Text(text)).await.is_err() {
                    break;
                }
            }
            message = incoming.next() => if !matches!(message, Some(Ok(_))) {
                break;
            },
        }
    }
    drop(waiting);
    readers
        .write()
        .values_mut()
        .for_each(|each| each.retain(|sender| !sender.is_closed()));
}
