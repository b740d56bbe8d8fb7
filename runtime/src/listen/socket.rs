//! Making a listening socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::{Bound, Error};

/// Connections the kernel holds for us while we are busy: a reconnecting fleet of 5,000 comes in
/// bursts. The kernel cuts it to its own limit.
const BACKLOG: i32 = 1024;

pub(super) fn bind(addr: SocketAddr) -> Result<Bound, Error> {
    let bound = match listen(addr) {
        Err(error) if addr.is_ipv6() && addr.ip().is_unspecified() && lacks_ipv6(&error) => {
            let fallback = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), addr.port());
            tracing::info!(%addr, %fallback, "this machine has no IPv6, listening on IPv4 alone");
            listen(fallback)
        }
        result => result,
    };
    let (listener, local) = bound.map_err(|source| explain(addr, source))?;
    Ok(Bound { listener, local })
}

fn listen(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        // The system's default is configurable, so it is always said.
        socket.set_only_v6(!addr.ip().is_unspecified())?;
    }
    // A restarted process takes its port back while old connections are in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let local = listener.local_addr()?;
    Ok((listener, local))
}

/// Tells whether the error is that of a machine without IPv6.
fn lacks_ipv6(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
        || matches!(
            error.kind(),
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
        )
}

fn explain(addr: SocketAddr, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::AddrInUse => Error::InUse { addr, source },
        io::ErrorKind::PermissionDenied => Error::Denied { addr, source },
        io::ErrorKind::AddrNotAvailable => Error::NotHere { addr, source },
        _ => Error::Bind { addr, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_family_or_address_falls_back() {
        for (errno, expected) in [
            (Errno::AFNOSUPPORT, true),
            (Errno::ADDRNOTAVAIL, true),
            (Errno::ADDRINUSE, false),
            (Errno::ACCESS, false),
        ] {
            assert_eq!(lacks_ipv6(&errno.into()), expected, "{errno}");
        }
    }
}
