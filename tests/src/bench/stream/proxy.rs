//! A TCP proxy that counts what passes: everything that the two sides write into their sockets.
//!
//! One thread accepts, two copy for each connection. They end with the connection, and the accepting
//! one when the proxy is dropped, so whoever holds both ends must let go of them first.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::deadline::Deadline;

/// Long, so that the accepting thread looks at most so often whether it is still wanted.
const ROUND: Duration = Duration::from_secs(3600);

/// Bytes that passed so far.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// From those who connected.
    up: AtomicU64,
    /// To them.
    down: AtomicU64,
}

impl Passed {
    /// Up and down.
    pub(super) fn read(&self) -> (u64, u64) {
        let up = self.up.load(Ordering::Relaxed);
        (up, self.down.load(Ordering::Relaxed))
    }
}

/// The proxy; it accepts no more when it is dropped.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) addr: SocketAddr,
    pub(super) passed: Arc<Passed>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on loopback and connects to `to` for everyone who comes.
    pub(super) fn start(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let (passed, is_over) = (Arc::<Passed>::default(), Arc::<AtomicBool>::default());
        let (counted, over) = (Arc::clone(&passed), Arc::clone(&is_over));
        let thread = std::thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || accept(&listener, to, &counted, &over))?;
        Ok(Self {
            addr,
            passed,
            is_over,
            thread: Some(thread),
        })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by its thread.
            drop(thread.join());
        }
    }
}

fn accept(listener: &TcpListener, to: SocketAddr, passed: &Arc<Passed>, is_over: &AtomicBool) {
    let mut threads = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let came = Deadline::after(ROUND).poll(|| {
            let accepted = listener.accept().ok();
            let is_over = is_over.load(Ordering::Relaxed);
            (accepted.is_some() || is_over).then_some(accepted)
        });
        if let Some(Some((near, _))) = came {
            // One that cannot be served is closed, which its agent tells.
            threads.extend(serve(&near, to, passed).unwrap_or_default());
        }
    }
    for thread in threads {
        drop(thread.join());
    }
}

/// Starts a thread for each direction.
fn serve(near: &TcpStream, to: SocketAddr, passed: &Arc<Passed>) -> Result<Vec<JoinHandle<()>>> {
    let far = TcpStream::connect(to).context("cannot connect to the aggregator")?;
    // An accepted socket may have inherited it.
    near.set_nonblocking(false)?;
    for stream in [near, &far] {
        stream.set_nodelay(true)?;
    }
    let copy = |from: &TcpStream, to: &TcpStream, is_up: bool| {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        let passed = Arc::clone(passed);
        let copying = move || {
            let counter = if is_up { &passed.up } else { &passed.down };
            // However it ends, both are told.
            drop(copy(&mut from, &mut to, counter));
            drop(to.shutdown(Shutdown::Write));
            drop(from.shutdown(Shutdown::Read));
        };
        std::thread::Builder::new().spawn(copying)
    };
    Ok(vec![copy(near, &far, true)?, copy(&far, near, false)?])
}

fn copy(from: &mut TcpStream, to: &mut TcpStream, counter: &AtomicU64) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        // Before it is written: who has got it may look.
        counter.fetch_add(count as u64, Ordering::Relaxed);
        to.write_all(buffer.get(..count).unwrap_or_default())?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpListener, TcpStream};

    use super::Proxy;

    #[test]
    fn both_directions_are_passed_on_and_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap()).unwrap();
        let mut near = TcpStream::connect(proxy.addr).unwrap();
        near.write_all(b"hello").unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        far.read_to_end(&mut asked).unwrap();
        far.write_all(b"answer").unwrap();
        drop(far);
        let mut answered = Vec::new();
        near.read_to_end(&mut answered).unwrap();
        assert_eq!((&asked[..], &answered[..]), (&b"hello"[..], &b"answer"[..]));
        assert_eq!(proxy.passed.read(), (5, 6));
    }
}
