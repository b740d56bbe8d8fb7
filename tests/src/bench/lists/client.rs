//! Who asks for lists: the front proxy, over TLS, reading as fast as it can.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::super::moment::unix_us;
use crate::pki::Leaf;

/// For one answer.
const WITHIN: Duration = Duration::from_secs(60);

/// Stands in every item of JSON, and nowhere else.
const ITEM: &[u8] = b"\"window\":";

/// Asks with a connection of its own each time.
#[derive(Debug)]
pub(super) struct Client {
    addr: SocketAddr,
    tls: Arc<ClientConfig>,
}

/// What one answer took, from the request on, without the handshake.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    pub(super) status: u16,
    /// Until the first byte of the body was there, microseconds.
    pub(super) first_us: u64,
    /// Until the last one was.
    pub(super) last_us: u64,
    /// Of the body, as it was sent.
    pub(super) bytes: usize,
    /// How many items it has, where they were counted.
    pub(super) items: usize,
}

impl Client {
    pub(super) fn new(addr: SocketAddr, ca: &Path, client: &Leaf) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca)? {
            roots.add(certificate?)?;
        }
        let chain = CertificateDer::pem_file_iter(&client.cert_pem)?;
        let chain = chain.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(&client.key_pem)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        Ok(Self {
            addr,
            tls: Arc::new(tls),
        })
    }

    /// Asks once and reads the answer to its end.
    pub(super) fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Result<Took> {
        self.read(path, headers, false)
    }

    /// The same in JSON, counting the items.
    pub(super) fn count(&self, path: &str) -> Result<Took> {
        self.read(path, &[], true)
    }

    fn read(&self, path: &str, headers: &[(&str, &str)], is_counted: bool) -> Result<Took> {
        let mut socket = TcpStream::connect(self.addr)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(WITHIN))?;
        socket.set_write_timeout(Some(WITHIN))?;
        let mut tls =
            ClientConnection::new(Arc::clone(&self.tls), ServerName::try_from("localhost")?)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        let mut stream = StreamOwned::new(tls, socket);
        // The older version has no chunks, whose heads would stand within items.
        let version = if is_counted { "1.0" } else { "1.1" };
        let mut request = format!(
            "GET {path} HTTP/{version}\r\nHost: localhost\r\nConnection: close\r\n\
             X-Remote-User: admin\r\nX-Remote-Group: system:masters\r\n"
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let began_us = unix_us();
        stream.write_all(request.as_bytes())?;
        stream.flush()?;
        let mut reading = Reading {
            is_counted,
            ..Reading::default()
        };
        let mut buffer = vec![0; 64 << 10];
        loop {
            // What ends without a word of TLS is whole all the same: its chunks say so.
            let count = match stream.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => 0,
                Err(error) => return Err(error).context("the answer broke off"),
            };
            if count == 0 {
                break;
            }
            reading.take(buffer.get(..count).unwrap_or_default(), began_us);
        }
        reading.took(unix_us().saturating_sub(began_us))
    }
}

/// An answer while it is read.
#[derive(Default)]
struct Reading {
    head: Vec<u8>,
    is_body: bool,
    // To count takes longer than to read.
    is_counted: bool,
    first_us: Option<u64>,
    bytes: usize,
    items: usize,
    // The end of what was looked through, in which an item may have begun.
    tail: Vec<u8>,
}

impl Reading {
    fn take(&mut self, bytes: &[u8], began_us: u64) {
        if self.is_body {
            self.body(bytes, began_us);
            return;
        }
        self.head.extend_from_slice(bytes);
        let end = self.head.windows(4).position(|at| at == b"\r\n\r\n");
        if let Some(end) = end {
            self.is_body = true;
            let body = self.head.split_off(end + 4);
            self.body(&body, began_us);
        }
    }

    fn body(&mut self, bytes: &[u8], began_us: u64) {
        if bytes.is_empty() {
            return;
        }
        let now_us = || unix_us().saturating_sub(began_us);
        self.first_us.get_or_insert_with(now_us);
        self.bytes += bytes.len();
        if !self.is_counted {
            return;
        }
        // What is cut between two reads is looked at again with what follows.
        self.tail.extend_from_slice(bytes);
        self.items += self
            .tail
            .windows(ITEM.len())
            .filter(|at| *at == ITEM)
            .count();
        let kept = self.tail.len().saturating_sub(ITEM.len() - 1);
        self.tail.drain(..kept);
    }

    fn took(self, last_us: u64) -> Result<Took> {
        let head = String::from_utf8_lossy(&self.head);
        let status = head.split(' ').nth(1).context("no status")?;
        Ok(Took {
            status: status.parse()?,
            first_us: self.first_us.context("no body")?,
            last_us,
            bytes: self.bytes,
            items: self.items,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Reading;

    #[test]
    fn items_are_counted_however_an_answer_is_cut() {
        let answer = b"HTTP/1.1 200 OK\r\na: b\r\n\r\n{\"window\":\"30s\"},{\"window\":\"30s\"}";
        for size in 1..answer.len() {
            let mut reading = Reading {
                is_counted: true,
                ..Reading::default()
            };
            for piece in answer.chunks(size) {
                reading.take(piece, 0);
            }
            let took = reading.took(5).unwrap();
            assert_eq!(
                (took.status, took.items, took.bytes),
                (200, 2, 33),
                "{size}"
            );
        }
    }
}
