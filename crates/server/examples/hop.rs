//! A bare axum relay of requests and the bare handler behind it: what a benchmark compares reads through another node
//! with. As between nodes, the connections between both are kept, and both sides prove themselves by certificates.
//!
//! `hop answer FOLDER BYTES` returns fixed bytes over TLS, `hop forward FOLDER PORT` forwards requests to that. Each
//! prints its port and serves until its standard input ends. FOLDER has `authority.pem`, `node.pem` and `node.key`.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::server::conn::http1 as server;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio_rustls::{TlsAcceptor, TlsConnector};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [role, folder, number] = arguments.as_slice() else {
        panic!("answer FOLDER BYTES, or forward FOLDER PORT");
    };
    let (folder, number) = (
        Path::new(folder),
        number.parse::<usize>().expect("a number"),
    );
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a thread");
    match role.as_str() {
        "answer" => runtime.spawn(answer(server_config(folder), number)),
        _ => runtime.spawn(forward(client_config(folder), number as u16)),
    };
    let _ = io::stdin().read_to_end(&mut Vec::new());
}

async fn answer(config: ServerConfig, bytes: usize) {
    let body = Bytes::from(vec![b'x'; bytes]);
    let answer = async move || ([(CONTENT_TYPE, "application/json")], body.clone());
    let router = Router::new().route("/fixed", get(answer));
    let tls = TlsAcceptor::from(Arc::new(config));
    let sockets = bound().await;
    loop {
        let (stream, _) = sockets.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let (tls, service) = (tls.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            let stream = tls.accept(stream).await.expect("TLS");
            let _ = server::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn forward(config: ClientConfig, port: u16) {
    let target = Arc::new(Target {
        port,
        tls: TlsConnector::from(Arc::new(config)),
        idle: Mutex::default(),
    });
    let router = Router::new().fallback(pass_on).with_state(target);
    axum::serve(bound().await, router).await.expect("it serves");
}

async fn bound() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", listener.local_addr().expect("bound").port());
    listener
}

// --- forwarding ---------------------------------------------------------------------------------

struct Target {
    port: u16,
    tls: TlsConnector,
    idle: Mutex<Vec<SendRequest<Empty<Bytes>>>>,
}

async fn pass_on(State(target): State<Arc<Target>>, request: Request) -> Response {
    let kept = target.idle.lock().pop();
    let mut connection = match kept {
        Some(kept) => kept,
        None => connect(&target).await,
    };
    let mut asked = http::Request::get(request.uri().path())
        .body(Empty::new())
        .expect("a request");
    *asked.headers_mut() = request.headers().clone();
    let response = connection.send_request(asked).await.expect("an answer");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    target.idle.lock().push(connection);
    Response::from_parts(head, Body::from(body))
}

async fn connect(target: &Target) -> SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(("127.0.0.1", target.port))
        .await
        .expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let stream = target.tls.connect(name, stream).await.expect("TLS");
    let (connection, driven) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(driven);
    connection
}

// --- TLS ----------------------------------------------------------------------------------------

fn server_config(folder: &Path) -> ServerConfig {
    let verifier = WebPkiClientVerifier::builder(Arc::new(trusted(folder)));
    let (chain, key) = proof(folder);
    ServerConfig::builder()
        .with_client_cert_verifier(verifier.build().expect("an authority"))
        .with_single_cert(chain, key)
        .expect("a certificate")
}

fn client_config(folder: &Path) -> ClientConfig {
    let (chain, key) = proof(folder);
    ClientConfig::builder()
        .with_root_certificates(trusted(folder))
        .with_client_auth_cert(chain, key)
        .expect("a certificate")
}

fn trusted(folder: &Path) -> RootCertStore {
    let mut found = RootCertStore::empty();
    for each in CertificateDer::pem_file_iter(folder.join("authority.pem")).expect("a file") {
        found.add(each.expect("PEM")).expect("an authority");
    }
    found
}

fn proof(folder: &Path) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_file_iter(folder.join("node.pem")).expect("a file");
    let key = PrivateKeyDer::from_pem_file(folder.join("node.key")).expect("a key");
    (chain.map(|each| each.expect("PEM")).collect(), key)
}
