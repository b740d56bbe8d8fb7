//! Whose process is at the other end of a connection on this machine.
//!
//! Where the kubelet's certificate is not verified, the token is sent only to a process of root: any
//! other could have taken the port while the kubelet was not there. The kernel lists the sockets of the
//! agent's network namespace with their owners; what counts is the server's end of this very connection,
//! which belongs to whoever accepted it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use cairn_runtime::tasks;
use tokio::net::TcpStream;

/// The kernel's lists. One of them has the server's end, whatever the client's is: a server that listens
/// on all addresses has IPv4 clients in the second.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// Bytes of such a list that are looked at: 50,000 sockets. Of those beyond nothing is said, and no token is
/// sent. It is read line by line.
const MAX_BYTES: u64 = 8 << 20;

/// The state of a connection that stands.
const ESTABLISHED: &str = "01";

/// True when the server's end of a connection belongs to a process of uid 0. To be asked after a
/// handshake: before it is accepted a connection belongs to nobody.
pub(super) async fn is_root(stream: &TcpStream) -> bool {
    let (Ok(server), Ok(client)) = (stream.peer_addr(), stream.local_addr()) else {
        return false;
    };
    // The kernel makes the list while it is read, which takes it a while on a node with many sockets.
    let look = move || {
        TABLES.iter().find_map(|table| {
            let table = File::open(table).ok()?.take(MAX_BYTES);
            owner(BufReader::new(table), server, client)
        })
    };
    matches!(
        tasks::blocking("owner of a socket", look).await,
        Ok(Some(0))
    )
}

/// The user of the socket that has these as its own and its peer's address.
fn owner(table: impl BufRead, server: SocketAddr, client: SocketAddr) -> Option<u32> {
    // The kernel writes nothing but ASCII.
    let mut lines = table.lines().skip(1).map_while(io::Result::ok);
    lines.find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (own, peer) = (words.next()?, words.next()?);
        if address(own)? != plain(server) || address(peer)? != plain(client) {
            return None;
        }
        let state = words.next()?;
        // Queues, timer, retransmits.
        let mut words = words.skip(3);
        let uid: u32 = words.next()?.parse().ok()?;
        let inode: u64 = words.nth(1)?.parse().ok()?;
        (state == ESTABLISHED && inode != 0).then_some(uid)
    })
}

/// Reads `0100007F:280A`: words of four bytes as the machine keeps them, in hexadecimal.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| {
        let word = u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let ip = match ip.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(at)?);
            }
            IpAddr::from(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(plain(SocketAddr::new(ip, port)))
}

/// An IPv4 address that is written as one of IPv6 as what it is.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use tokio::net::TcpListener;

    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt";

    /// What a line of the kernel's list says of the connection from 127.0.0.1:5 to 127.0.0.1:10250.
    fn said(line: &str) -> Option<u32> {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        owner(format!("{HEAD}\n{line}\n").as_bytes(), at(10250), at(5))
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn the_servers_end_of_the_connection_counts_and_nothing_else() {
        let line = |own: &str, peer: &str, state: &str, uid: u32, inode: u64| {
            let between = "00000000:00000000 00:00000000 00000000";
            said(&format!(
                "   0: {own} {peer} {state} {between}  {uid}        0 {inode} 1 0 20 4"
            ))
        };
        let (server, client) = ("0100007F:280A", "0100007F:0005");
        assert_eq!(line(server, client, "01", 0, 7), Some(0));
        assert_eq!(line(server, client, "01", 1000, 7), Some(1000));
        // The client's own end, another client's, one that listens, one that nobody has accepted.
        assert_eq!(line(client, server, "01", 0, 7), None);
        assert_eq!(line(server, "0100007F:0006", "01", 0, 7), None);
        assert_eq!(line(server, "00000000:0000", "0A", 0, 7), None);
        assert_eq!(line(server, client, "01", 0, 0), None);
        let mapped = |port| format!("0000000000000000FFFF00000100007F:{port}");
        assert_eq!(line(&mapped("280A"), &mapped("0005"), "01", 0, 7), Some(0));
        for odd in [
            "",
            "   0:",
            "   0: x y",
            "   0: 0100007F 0100007F:0005 01",
            "0: \u{e9}:1 :",
        ] {
            assert_eq!(said(odd), None, "{odd}");
        }
    }

    #[tokio::test]
    async fn this_process_is_known_by_its_own_user() {
        let own = std::fs::metadata("/proc/self").unwrap().uid();
        for bind in ["127.0.0.1:0", "[::]:0"] {
            // A machine without IPv6 has the first alone.
            let Ok(listener) = TcpListener::bind(bind).await else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .await
                .unwrap();
            let accepted = listener.accept().await.unwrap();
            assert_eq!(is_root(&client).await, own == 0, "{bind}");
            drop(accepted);
        }
    }
}
