//! The socket that is listened on: how many connections there may be, and TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

use crate::certificate::Certificate;
use crate::cluster::identity::{Authority, Credentials, node_of, server_config};
use crate::connection;
use crate::entrance::Entry;
use crate::limits::Limits;
use crate::peers::Admitted;
use crate::sender::Sender;
use crate::shared::Shared;
use crate::statistics::Refused;

/// Bind, so that a restart on the same port is possible at once.
pub fn bind(address: SocketAddr, limits: &Limits) -> io::Result<TcpListener> {
    const BACKLOG: u32 = 1_024;
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    #[cfg(unix)] // elsewhere it would let others take the port
    socket.set_reuseaddr(true)?;
    // What the system keeps for a client that reads slowly is as old as what we would keep. It takes twice the number.
    let held = u32::try_from(limits.held_bytes / 2).unwrap_or(u32::MAX);
    socket.set_send_buffer_size(held)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The certificate of new connections, which may be replaced.
pub struct Tls(RwLock<TlsAcceptor>);

impl Tls {
    /// With an authority, clients may prove that they are nodes of its cluster. Errors are words for people.
    pub fn new(certificate: &Certificate, authority: Option<&Authority>) -> Result<Tls, String> {
        Ok(Tls(RwLock::new(acceptor(certificate, authority)?)))
    }

    /// Give new connections another certificate; open ones keep theirs. Without effect if it cannot be used.
    pub fn replace(
        &self,
        certificate: &Certificate,
        authority: Option<&Authority>,
    ) -> Result<(), String> {
        *self.0.write() = acceptor(certificate, authority)?;
        Ok(())
    }

    fn acceptor(&self) -> TlsAcceptor {
        self.0.read().clone()
    }
}

fn acceptor(
    certificate: &Certificate,
    authority: Option<&Authority>,
) -> Result<TlsAcceptor, String> {
    let config = server_config(Credentials::read(certificate)?, authority)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Room for connections of all listeners. Some of the process's descriptors are reserved for the books' own
/// connections: without one a book that lost its connection could not reconnect.
pub fn room(limits: &Limits) -> Arc<Semaphore> {
    #[cfg(unix)]
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let descriptors = None;
    Arc::new(Semaphore::new(most_connections(
        limits.connections,
        descriptors,
    )))
}

fn most_connections(wanted: usize, descriptors: Option<u64>) -> usize {
    const FEWEST: usize = 1;
    const KEPT: (u64, u64) = (64, 1_024);
    let most = descriptors.map_or(u64::MAX, |all| {
        all.saturating_sub((all / 4).clamp(KEPT.0, KEPT.1))
    });
    wanted.min(usize::try_from(most).unwrap_or(usize::MAX).max(FEWEST))
}

/// Take connections until the server ends.
pub async fn accept(
    listener: TcpListener,
    room: Arc<Semaphore>,
    tls: Option<Arc<Tls>>,
    shared: Arc<Shared>,
    entry: Entry,
    mut stop: watch::Receiver<bool>,
) {
    /// After an error that concerns no single connection, such as a lack of descriptors.
    const PAUSE: Duration = Duration::from_millis(50);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let Ok((stream, address)) = accepted else {
            sleep(PAUSE).await;
            continue;
        };
        if let Some(compat) = &entry.compat
            && !compat.takes(address.ip())
        {
            shared.statistics.refuse(Refused::Network);
            continue;
        }
        let Ok(permit) = room.clone().try_acquire_owned() else {
            shared.statistics.refuse(Refused::Connections);
            continue;
        };
        let Some(admitted) = shared.peers.admit(address.ip(), &shared.limits) else {
            shared.statistics.refuse(Refused::Address);
            continue;
        };
        let (shared, entry) = (shared.clone(), entry.clone());
        let (tls, stop) = (tls.as_ref().map(|tls| tls.acceptor()), stop.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let _open = Open::count(&shared);
            serve(stream, tls, shared, entry, admitted, stop).await;
        });
    }
}

async fn serve(
    stream: TcpStream,
    mut tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    entry: Entry,
    admitted: Admitted,
    mut stop: watch::Receiver<bool>,
) {
    // Responses are written whole: waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    if tls.is_some() {
        let speaks = tokio::select! {
            speaks = timeout(shared.limits.idle, speaks_tls(&stream)) => speaks,
            _ = stop.changed() => return,
        };
        match speaks {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) if takes_plain(&shared, &admitted) => tls = None,
            _ => {
                shared.statistics.refuse(Refused::Tls);
                if let Ok(Ok(false)) = speaks {
                    let _ = timeout(shared.limits.idle, refuse_plain(stream)).await;
                }
                return;
            }
        }
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(shared.limits.idle));
    let stream = Box::pin(stream);
    let mut sender = Sender {
        peer: admitted.peer(),
        address: admitted.address(),
        is_tls: tls.is_some(),
        node: None,
    };
    let Some(tls) = tls else {
        return connection::serve(stream, shared, entry, sender, stop).await;
    };
    let agreed = tokio::select! {
        agreed = timeout(shared.limits.idle, tls.accept(stream)) => agreed,
        _ = stop.changed() => return,
    };
    let Ok(Ok(stream)) = agreed else {
        return shared.statistics.refuse(Refused::Tls);
    };
    let (_, session) = stream.get_ref();
    let proof = session.peer_certificates().and_then(<[_]>::first);
    let Some((proof, cluster)) = proof.zip(shared.cluster.clone()) else {
        return connection::serve(stream, shared, entry, sender, stop).await;
    };
    let Some(node) = node_of(proof).filter(|node| !cluster.is_denied(node)) else {
        return shared.statistics.refuse(Refused::Node);
    };
    sender.node = Some(node.as_str().into());
    /// Then it proves itself again: certificates end after a week, and a removal may have been missed.
    const MOST: Duration = Duration::from_secs(24 * 3_600);
    tokio::select! {
        () = connection::serve(stream, shared, entry, sender, stop) => {}
        () = cluster.until_denied(&node) => {}
        () = sleep(MOST) => {}
    }
}

/// Whether the programs of this machine may do without TLS: a node has a certificate that no browser knows.
fn takes_plain(shared: &Shared, admitted: &Admitted) -> bool {
    shared.cluster.is_some() && admitted.address().to_canonical().is_loopback()
}

/// Whether a connection begins with a TLS handshake record (RFC 8446, 5.1), and not with plain HTTP.
async fn speaks_tls(stream: &TcpStream) -> io::Result<bool> {
    const HANDSHAKE: u8 = 22;
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first[0] == HANDSHAKE),
    }
}

/// Respond to a client that speaks plain HTTP to a TLS listener.
async fn refuse_plain(mut stream: TcpStream) -> io::Result<()> {
    const ANSWER: &[u8] =
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 28\r\n\
        Connection: close\r\n\r\nthis is HTTPS: use https://\n";
    /// Most bytes to read of its request: closing earlier would reset the connection, and the response would be lost.
    const MOST_READ: usize = 64 * 1024;
    stream.write_all(ANSWER).await?;
    stream.shutdown().await?;
    let (mut read, mut part) = (0, [0; 1_024]);
    while read < MOST_READ {
        match stream.read(&mut part).await? {
            0 => break,
            count => read += count,
        }
    }
    Ok(())
}

/// A connection that counts as open until it is dropped.
struct Open(Arc<Shared>);

impl Open {
    fn count(shared: &Arc<Shared>) -> Open {
        shared.statistics.accepted.fetch_add(1, Ordering::Relaxed);
        shared.statistics.open.fetch_add(1, Ordering::Relaxed);
        Open(shared.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.statistics.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_leave_descriptors_for_the_connections_of_the_books() {
        for (wanted, descriptors, most) in [
            (10_000, None, 10_000),
            (10_000, Some(1_024), 768),
            (100, Some(1_024), 100),
            (10_000, Some(65_536), 10_000),
            (70_000, Some(65_536), 64_512),
            (10_000, Some(32), 1),
        ] {
            assert_eq!(
                most_connections(wanted, descriptors),
                most,
                "{descriptors:?}"
            );
        }
    }
}
