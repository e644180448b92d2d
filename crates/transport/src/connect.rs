//! Open a WebSocket: DNS lookup, proxy, TLS, handshake.
//!
//! Compression is never offered, and redirects are not followed. `dial` chooses the address.

use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use data_encoding::BASE64;
use http::header::{AUTHORIZATION, HeaderValue, USER_AGENT};
use http::uri::Uri;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{self, AsyncRead, AsyncReadExt, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tower_service::Service;

use crate::describe_error;
use crate::dial::Addresses;
use crate::event::Refusal;
use crate::secret::Secret;

/// Largest message in bytes. Real ones reach about 40 kB (932 changes in one second, measured 2026-09-03).
const MOST_BYTES: usize = 16 << 20;

/// Size of the read buffer; one read of a busy stream returns a few kB.
const READ_BYTES: usize = 16 << 10;

/// Most output that may wait for a peer that does not read: twice the largest message. All subscriptions of
/// a connection take about 40 kB.
const MOST_UNSENT_BYTES: usize = 2 * MOST_BYTES;

/// Most bytes of the body of a refused handshake to read, and the time to wait for them.
const BODY_BYTES: usize = 1024;
const BODY_WAIT: Duration = Duration::from_secs(1);

/// The protocol of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP CONNECT.
    Http,
    /// SOCKS version 5; the proxy looks up host names.
    Socks5,
}

/// A proxy between this machine and the peer.
#[derive(Clone)]
pub struct Proxy {
    /// Its protocol.
    pub kind: ProxyKind,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User and password, never shown.
    pub credentials: Option<(String, String)>,
}

/// The target of a connection, and the proxy to it.
#[derive(Clone)]
pub struct Target {
    /// `ws://…` or `wss://…`.
    pub url: String,
    /// The proxy; None for a direct connection.
    pub proxy: Option<Proxy>,
}

/// An open WebSocket.
pub type Socket = WebSocketStream<CountingStream>;

/// The TCP or TLS stream of a WebSocket. It counts the bytes read.
pub struct CountingStream {
    stream: Stream,
    /// Bytes read so far.
    pub received: u64,
}

/// A stream with or without TLS.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<BufReader<TcpStream>>>),
}

/// Why a WebSocket could not be opened.
#[derive(Debug)]
pub struct ConnectError {
    /// The cause as text.
    pub reason: String,
    /// The HTTP response that refused the handshake, if there was one.
    pub refusal: Option<Refusal>,
}

impl<Reason: Into<String>> From<Reason> for ConnectError {
    fn from(reason: Reason) -> ConnectError {
        ConnectError {
            reason: reason.into(),
            refusal: None,
        }
    }
}

/// Open a WebSocket within `limit`. `tls` is called only for `wss`. `token`: sent with the handshake.
pub async fn connect(
    target: &Target,
    tls: impl FnOnce() -> Result<Arc<ClientConfig>, String>,
    addresses: &Addresses,
    limit: Duration,
    token: Option<&Secret>,
) -> Result<Socket, ConnectError> {
    let not_a_url =
        |why: &dyn std::fmt::Display| format!("{:?} is not a valid URL: {why}", target.url);
    let uri: Uri = target.url.parse().map_err(|why| not_a_url(&why))?;
    let (secure, port) = match uri.scheme_str() {
        Some("wss") => (true, 443),
        Some("ws") => (false, 80),
        _ => return Err(not_a_url(&"only ws:// and wss:// are supported").into()),
    };
    let host = uri.host().ok_or_else(|| not_a_url(&"it has no host"))?;
    let port = uri.port_u16().unwrap_or(port);
    let deadline = Instant::now() + limit;
    let late = |address: SocketAddr, what: &str| {
        format!(
            "connected to {address}, but {what} within {} s",
            limit.as_secs_f64()
        )
    };
    let (stream, address) = match &target.proxy {
        None => addresses.dial(host, port, deadline).await?,
        Some(proxy) => {
            let to_proxy = addresses.dial(&proxy.host, proxy.port, deadline).await;
            let (stream, address) = to_proxy.map_err(|why| format!("through the proxy: {why}"))?;
            let tunnel = timeout_at(deadline, through(proxy, stream, host, port)).await;
            let error = || late(address, "the proxy did not connect");
            (tunnel.map_err(|_| error())??, address)
        }
    };
    let mut doubt = DoubtOnDrop(Some((addresses, address)));
    stream
        .set_nodelay(true)
        .map_err(|why| describe_error::io(&why))?;
    let stream = if secure {
        let config = tls().map_err(|why| format!("TLS cannot be set up: {why}"))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|why| not_a_url(&why))?;
        let stream = BufReader::with_capacity(READ_BYTES, stream); // rustls alone reads 4 KiB at a time
        let work = timeout_at(deadline, TlsConnector::from(config).connect(name, stream)).await;
        let stream = work.map_err(|_| late(address, "the TLS handshake did not finish"))?;
        Stream::Tls(Box::new(stream.map_err(|why| describe_error::io(&why))?))
    } else {
        Stream::Plain(stream)
    };
    let stream = CountingStream {
        stream,
        received: 0,
    };
    let result = timeout_at(deadline, handshake(uri, stream, token)).await;
    let result =
        result.map_err(|_| late(address, "there was no response to the WebSocket handshake"))?;
    if !matches!(&result, Err(ConnectError { refusal: None, .. })) {
        doubt.take_back(); // it answers, with any status
    }
    result
}

/// Mark an address as doubtful if it accepted a connection that then failed.
struct DoubtOnDrop<'a>(Option<(&'a Addresses, SocketAddr)>);

impl DoubtOnDrop<'_> {
    fn take_back(&mut self) {
        if let Some((addresses, address)) = self.0.take() {
            addresses.trust(address);
        }
    }
}

impl Drop for DoubtOnDrop<'_> {
    fn drop(&mut self) {
        if let Some((addresses, address)) = self.0.take() {
            addresses.doubt(address);
        }
    }
}

async fn handshake(
    uri: Uri,
    mut stream: CountingStream,
    token: Option<&Secret>,
) -> Result<Socket, ConnectError> {
    let request = uri.into_client_request();
    let mut request = request.map_err(|why| format!("it cannot be used in a request: {why}"))?;
    let agent = HeaderValue::from_static("depthcache");
    request.headers_mut().insert(USER_AGENT, agent);
    if let Some(Secret(token)) = token {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| "the token has characters that no header may have")?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
    }
    let settings = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .max_write_buffer_size(MOST_UNSENT_BYTES)
        .max_message_size(Some(MOST_BYTES))
        .max_frame_size(Some(MOST_BYTES));
    let mut seen = Vec::new();
    let recording = RecordingStream {
        stream: &mut stream,
        seen: &mut seen,
    };
    let result =
        tokio_tungstenite::client_async_with_config(request, recording, Some(settings)).await;
    match result.map(|_| ()) {
        Ok(()) => {
            let head = end_of_head(&seen).ok_or("the response to the handshake is incomplete")?;
            let first = seen.split_off(head);
            let client = Role::Client;
            let made = WebSocketStream::from_partially_read(stream, first, client, Some(settings));
            Ok(made.await)
        }
        Err(Error::Http(answer)) => {
            let body = rest_of_body(&mut stream, &answer).await;
            let (reason, refusal) = describe_error::refused(&answer, &body);
            let refusal = Some(refusal);
            Err(ConnectError { reason, refusal })
        }
        Err(why) => Err(describe_error::handshake(&why, &seen).into()),
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    let at = bytes.windows(END.len()).position(|part| part == END)?;
    Some(at + END.len())
}

/// The beginning of the body of a refusal; the part that came with the header is in the response.
async fn rest_of_body(
    stream: &mut CountingStream,
    answer: &http::Response<Option<Vec<u8>>>,
) -> Vec<u8> {
    let mut body = answer.body().clone().unwrap_or_default();
    let length = answer.headers().get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|text| text.to_str().ok()?.parse().ok());
    let wanted = length.unwrap_or(BODY_BYTES).min(BODY_BYTES);
    let read_on = async {
        while body.len() < wanted && stream.read_buf(&mut body).await.is_ok_and(|read| read > 0) {}
    };
    let _ = timeout(BODY_WAIT, read_on).await; // what came by then is better than nothing
    body.truncate(wanted);
    body
}

/// Open a connection through a proxy to which there is a connection.
async fn through(
    proxy: &Proxy,
    stream: TcpStream,
    host: &str,
    port: u16,
) -> Result<TcpStream, String> {
    let destination = address(host, port)?;
    let at = address(&proxy.host, proxy.port)?;
    let connected = ConnectedStream(Some(stream));
    let found = match proxy.kind {
        ProxyKind::Http => {
            let mut tunnel = Tunnel::new(at, connected);
            if let Some((user, password)) = &proxy.credentials {
                tunnel = tunnel.with_auth(basic(user, password)?);
            }
            tunnel
                .call(destination)
                .await
                .map_err(|why| describe_error::proxy(&why))?
        }
        ProxyKind::Socks5 => {
            let mut tunnel = SocksV5::new(at, connected);
            if let Some((user, password)) = &proxy.credentials {
                tunnel = tunnel.with_auth(user.clone(), password.clone());
            }
            tunnel
                .call(destination)
                .await
                .map_err(|why| describe_error::proxy(&why))?
        }
    };
    Ok(found.into_inner())
}

/// The connector of a tunnel with an existing connection to the proxy.
struct ConnectedStream(Option<TcpStream>);

impl Service<Uri> for ConnectedStream {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let stream = self.0.take();
        ready(
            stream
                .map(TokioIo::new)
                .ok_or_else(|| io::Error::other("used twice")),
        )
    }
}

fn address(host: &str, port: u16) -> Result<Uri, String> {
    let text = if host.contains(':') && !host.starts_with('[') {
        format!("http://[{host}]:{port}/")
    } else {
        format!("http://{host}:{port}/")
    };
    text.parse()
        .map_err(|why| format!("{host:?} is not a valid host: {why}"))
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, String> {
    let text = format!(
        "Basic {}",
        BASE64.encode(format!("{user}:{password}").as_bytes())
    );
    HeaderValue::from_str(&text).map_err(|why| why.to_string())
}

impl AsyncRead for CountingStream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        let before = buffer.filled().len();
        let result = match &mut stream.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        stream.received += (buffer.filled().len() - before) as u64;
        result
    }
}

impl AsyncWrite for CountingStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A stream during the handshake that keeps everything it has read. It then becomes the WebSocket, or the
/// rest of the body of a refusal is read from it.
struct RecordingStream<'a> {
    stream: &'a mut CountingStream,
    seen: &'a mut Vec<u8>,
}

impl AsyncRead for RecordingStream<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let recording = self.get_mut();
        let before = buffer.filled().len();
        let result = Pin::new(&mut *recording.stream).poll_read(cx, buffer);
        recording.seen.extend_from_slice(&buffer.filled()[before..]);
        result
    }
}

impl AsyncWrite for RecordingStream<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_shutdown(cx)
    }
}
