//! Connections without TLS that speak HTTP/1.1, for a process that has no other: neither TLS of the serving
//! side nor HTTP/2 of it is linked then.

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;

use super::{Opened, header_bytes};
use crate::listen::Config;
use crate::listen::connection::Connection;
use crate::tasks::Children;

/// What HTTP is spoken over.
pub(in crate::listen) type Stream = TcpStream;

/// Makes what serves one connection.
pub(in crate::listen) fn builder(_: Children, config: &Config) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_deadline)
        .max_buf_size(header_bytes(config) as usize);
    builder
}

/// Takes the connection as it is: nobody can have configured a certificate.
pub(in crate::listen) async fn open(connection: &Connection, stream: TcpStream) -> Option<Opened> {
    match connection.shared.config.tls.as_deref() {
        None => Some((stream, None)),
        Some(never) => match *never {},
    }
}

/// Of HTTP/1 everything is told by hyper itself.
pub(super) fn is_malformed(_: &hyper::Error) -> bool {
    false
}
