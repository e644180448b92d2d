//! From a URL to an open WebSocket: name lookup, proxy, TLS, handshake.
//!
//! Addresses of both families are tried at once where there are both (happy eyeballs, RFC 8305).
//! Compression is never offered, redirects are not followed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use data_encoding::BASE64;
use http::header::{HeaderValue, USER_AGENT};
use http::uri::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{self, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tower_service::Service;

use crate::words;

/// Of one message. Real ones reach some 40 kB (932 changes in one second, measured 2026-09-03).
const MOST_BYTES: usize = 16 << 20;

/// Room for what one look at the socket brings; a busy stream brings a few kB.
const READ_BYTES: usize = 16 << 10;

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP CONNECT.
    Http,
    /// SOCKS version 5; names are looked up by the proxy.
    Socks5,
}

/// The proxy between this machine and the other end.
#[derive(Clone)]
pub struct Proxy {
    /// How it is spoken to.
    pub kind: ProxyKind,
    /// Where it is.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User and password, never shown.
    pub credentials: Option<(String, String)>,
}

/// Where a connection goes, and through what.
#[derive(Clone)]
pub struct Target {
    /// `ws://…` or `wss://…`.
    pub url: String,
    /// None for the direct way.
    pub proxy: Option<Proxy>,
}

/// An open WebSocket.
pub type Socket = WebSocketStream<Line>;

/// TLS or not.
pub enum Line {
    /// In the clear.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Open a WebSocket. `tls` is asked only for `wss`. Errors are words for people.
pub async fn connect(
    target: &Target,
    tls: impl FnOnce() -> Result<Arc<ClientConfig>, String>,
) -> Result<Socket, String> {
    let not_a_url = |why: &dyn std::fmt::Display| format!("{:?} is no URL: {why}", target.url);
    let uri: Uri = target.url.parse().map_err(|why| not_a_url(&why))?;
    let (secure, port) = match uri.scheme_str() {
        Some("wss") => (true, 443),
        Some("ws") => (false, 80),
        _ => return Err(not_a_url(&"only ws:// and wss:// can be opened")),
    };
    let host = uri.host().ok_or_else(|| not_a_url(&"it names no host"))?;
    let port = uri.port_u16().unwrap_or(port);
    let stream = reach(host, port, target.proxy.as_ref()).await?;
    let line = if secure {
        let config = tls().map_err(|why| format!("TLS cannot be used: {why}"))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|why| not_a_url(&why))?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        Line::Tls(Box::new(stream.map_err(|why| words::io(&why))?))
    } else {
        Line::Plain(stream)
    };
    let mut request = uri.into_client_request().map_err(|why| not_a_url(&why))?;
    let agent = HeaderValue::from_static("depthcache");
    request.headers_mut().insert(USER_AGENT, agent);
    let settings = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .max_message_size(Some(MOST_BYTES))
        .max_frame_size(Some(MOST_BYTES));
    match tokio_tungstenite::client_async_with_config(request, line, Some(settings)).await {
        Ok((socket, _)) => Ok(socket),
        Err(why) => Err(words::handshake(&why)),
    }
}

/// A TCP connection to that host, or to it through a proxy.
async fn reach(host: &str, port: u16, proxy: Option<&Proxy>) -> Result<TcpStream, String> {
    let place = address(host, port)?;
    let mut direct = HttpConnector::new();
    direct.enforce_http(false);
    direct.set_nodelay(true);
    let Some(proxy) = proxy else {
        let found = direct.call(place).await;
        return found
            .map(TokioIo::into_inner)
            .map_err(|why| words::connect(&why));
    };
    let at = address(&proxy.host, proxy.port)?;
    let found = match proxy.kind {
        ProxyKind::Http => {
            let mut tunnel = Tunnel::new(at, direct);
            if let Some((user, password)) = &proxy.credentials {
                tunnel = tunnel.with_auth(basic(user, password)?);
            }
            tunnel.call(place).await.map_err(|why| words::proxy(&why))?
        }
        ProxyKind::Socks5 => {
            let mut tunnel = SocksV5::new(at, direct);
            if let Some((user, password)) = &proxy.credentials {
                tunnel = tunnel.with_auth(user.clone(), password.clone());
            }
            tunnel.call(place).await.map_err(|why| words::proxy(&why))?
        }
    };
    Ok(found.into_inner())
}

fn address(host: &str, port: u16) -> Result<Uri, String> {
    let text = if host.contains(':') && !host.starts_with('[') {
        format!("http://[{host}]:{port}/")
    } else {
        format!("http://{host}:{port}/")
    };
    text.parse()
        .map_err(|why| format!("{host:?} is no host: {why}"))
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, String> {
    let text = format!(
        "Basic {}",
        BASE64.encode(format!("{user}:{password}").as_bytes())
    );
    HeaderValue::from_str(&text).map_err(|why| why.to_string())
}

impl AsyncRead for Line {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Line::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Line::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Line::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Line::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Line::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Line::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Line::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Line::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
