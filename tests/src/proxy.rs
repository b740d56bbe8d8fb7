//! The network between two processes, which a test cuts, slows down and mends.
//!
//! Everything goes through one listener. What is cut is cut as by a cable: nobody is told. Connections
//! stay open, new ones are made, and not a byte goes either way. When it is mended, connections of
//! before and of meanwhile end, as when a firewall on the way forgot them; what was in their hands is
//! gone.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use anyhow::Result;
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::Group;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Connections at once: a fleet that comes back while its old ones are held.
const MOST_CONNECTIONS: usize = 4_096;

/// What the network itself holds of a connection, each way: little, so that a slow receiver is soon
/// felt by the sender.
const BUFFER_BYTES: u32 = 64 * 1024;

/// What is carried at a time.
const PIECE_BYTES: usize = 16 * 1024;

/// What is carried at a time when it is slow: a few times a second.
const SLOW_PIECE_BYTES: usize = 512;

/// How long a connection to the target may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Everything passes.
    Free,
    /// So many bytes a second pass to the target on each connection; answers pass freely.
    Slow(u32),
    /// Nothing passes, and nobody is told.
    Cut,
}

/// The same, with how often it was cut so far.
#[derive(Clone, Copy, Debug)]
struct Network {
    flow: Flow,
    cuts: u64,
}

/// A running one. Dropping it ends it and every connection.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub addr: SocketAddr,
    network: watch::Sender<Network>,
    token: Token,
    _runtime: Runtime,
}

impl Proxy {
    /// Starts one that leads to this address.
    ///
    /// # Errors
    ///
    /// When it cannot listen.
    pub fn start(target: SocketAddr) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(BUFFER_BYTES)?;
            socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            socket.listen(1_024)
        })?;
        let addr = listener.local_addr()?;
        let whole = Network {
            flow: Flow::Free,
            cuts: 0,
        };
        let (network, token) = (watch::Sender::new(whole), Token::new());
        let connections = Group::new("proxy", MOST_CONNECTIONS);
        let (changes, ended) = (network.clone(), token.clone());
        let serving = async move {
            loop {
                let accepted = tokio::select! {
                    biased;
                    () = ended.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                // One that was gone before it was taken needs nothing.
                let Ok((client, _)) = accepted else { continue };
                // One too many is closed.
                let carried = carry(client, target, changes.subscribe());
                if let Err(full) = connections.try_spawn(carried) {
                    tracing::warn!(%full, "connection refused");
                }
            }
        };
        drop(runtime.spawn(serving));
        Ok(Self {
            addr,
            network,
            token,
            _runtime: runtime,
        })
    }

    /// Makes the network so from now on.
    pub fn set(&self, flow: Flow) {
        self.network.send_modify(|network| {
            network.flow = flow;
            network.cuts += u64::from(flow == Flow::Cut);
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

/// Carries one connection until it ends, or until the network that was cut is mended.
async fn carry(client: TcpStream, target: SocketAddr, mut network: watch::Receiver<Network>) {
    let began = *network.borrow();
    let mut carried = pin!(between(client, target, network.clone()));
    // One that is made while the network is cut reaches nobody.
    if began.flow != Flow::Cut {
        let severed = async { drop(network.wait_for(|now| now.cuts != began.cuts).await) };
        tokio::select! {
            biased;
            () = severed => {}
            () = &mut carried => return,
        }
    }
    // Its ends stay open and are not read for as long as that lasts.
    drop(network.wait_for(|now| now.flow != Flow::Cut).await);
}

/// Hands on what comes from either end.
async fn between(mut client: TcpStream, target: SocketAddr, network: watch::Receiver<Network>) {
    let Some(mut server) = reach(target).await else {
        return;
    };
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let there = pass(from_client, to_server, |bytes| {
        slowness(network.borrow().flow, bytes)
    });
    let back = pass(from_server, to_client, |_| None);
    tokio::join!(there, back);
}

async fn reach(target: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.set_send_buffer_size(BUFFER_BYTES).ok()?;
    let connecting = tokio::time::timeout(CONNECT_DEADLINE, socket.connect(target));
    let stream = connecting.await.ok()?.ok()?;
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

/// How long so many bytes take, when the network is slow.
fn slowness(flow: Flow, bytes: usize) -> Option<Duration> {
    let Flow::Slow(bytes_per_s) = flow else {
        return None;
    };
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    Some(Duration::from_secs(1) * bytes / bytes_per_s.max(1))
}

/// Hands on what comes, until one of the two ends.
async fn pass<R, W>(mut from: R, mut to: W, slow: impl Fn(usize) -> Option<Duration>)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let most = slow(0).map_or(PIECE_BYTES, |_| SLOW_PIECE_BYTES);
        let Some(room) = piece.get_mut(..most) else {
            return;
        };
        let count = from.read(room).await.unwrap_or(0);
        let Some(bytes) = piece.get(..count).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        if let Some(pause) = slow(count) {
            tokio::time::sleep(pause).await;
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
    // The other side reads the rest and then the end.
    drop(to.shutdown().await);
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn pair(proxy: &Proxy, listener: &TcpListener) -> (TcpStream, TcpStream) {
        let near = TcpStream::connect(proxy.addr).unwrap();
        let (far, _) = listener.accept().unwrap();
        for end in [&near, &far] {
            end.set_read_timeout(Some(SOON)).unwrap();
        }
        (near, far)
    }

    fn read(from: &mut TcpStream, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        from.read_exact(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_cut_carries_nothing_and_ends_when_it_is_mended() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap()).unwrap();
        let (mut near, mut far) = pair(&proxy, &listener);
        near.write_all(b"there").unwrap();
        assert_eq!(read(&mut far, 5), b"there");
        far.write_all(b"back").unwrap();
        assert_eq!(read(&mut near, 4), b"back");

        proxy.set(Flow::Cut);
        near.write_all(b"gone").unwrap();
        far.write_all(b"gone").unwrap();
        let mut meanwhile = TcpStream::connect(proxy.addr).unwrap();
        meanwhile.set_read_timeout(Some(SOON)).unwrap();
        meanwhile.write_all(b"gone").unwrap();
        proxy.set(Flow::Free);
        for end in [&mut near, &mut far, &mut meanwhile] {
            let mut rest = Vec::new();
            drop(end.read_to_end(&mut rest));
            assert_eq!(rest, b"");
        }
        let mut near = TcpStream::connect(proxy.addr).unwrap();
        near.write_all(b"again").unwrap();
        // What was connected meanwhile may have come this far, and has ended.
        let arrived = (0..2).find_map(|_| {
            let (mut far, _) = listener.accept().unwrap();
            far.set_read_timeout(Some(SOON)).unwrap();
            let mut bytes = [0; 5];
            far.read_exact(&mut bytes).is_ok().then_some(bytes)
        });
        assert_eq!(arrived, Some(*b"again"));
    }

    #[test]
    fn what_is_slow_arrives_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap()).unwrap();
        let (mut near, mut far) = pair(&proxy, &listener);
        proxy.set(Flow::Slow(64 * 1024));
        let sent: Vec<u8> = (0..=255).cycle().take(20_000).collect();
        near.write_all(&sent).unwrap();
        assert_eq!(read(&mut far, 4), [0, 1, 2, 3]);
        proxy.set(Flow::Free);
        near.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, sent[4..]);
    }
}
