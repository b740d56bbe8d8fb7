//! Clients that want to keep everybody else out of a listener, each in one way and as long as they are let.
//!
//! An attacker connects, does its one thing until the server ends the connection, and comes back. How
//! often each was ended is what a test waits for.

mod attack;
mod frames;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use cairn_runtime::tls::{Connector, Trust, TrustFiles, server_name};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

pub use attack::Attack;

/// How long a connection may take to come about.
const SOON: Duration = Duration::from_secs(10);

/// Before an attacker comes back: a connection refused at once would make a busy loop.
const PAUSE: Duration = Duration::from_millis(50);

/// A listener that is attacked.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name in the metrics.
    pub name: &'static str,
    /// Where it is.
    pub addr: SocketAddr,
    /// The CA of its certificate; `None` is plain text.
    pub ca: Option<PathBuf>,
    /// Whether it speaks HTTP/2 too.
    pub http2: bool,
}

/// What one attacker came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Connections that were made.
    pub made: u64,
    /// Of these, those that the server ended.
    pub ended: u64,
}

type Tally = Arc<Mutex<BTreeMap<(&'static str, Attack), Told>>>;

/// Attackers at work; they stop when this is dropped.
#[derive(Debug)]
pub struct Siege {
    tally: Tally,
    // Stopped in this order.
    _attackers: JoinSet<()>,
    _runtime: Runtime,
}

impl Siege {
    /// Begins: `each` attackers of every kind that makes sense at each of these.
    ///
    /// # Errors
    ///
    /// When a CA cannot be read.
    pub fn begin(targets: &[Target], each: usize) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let tally = Tally::default();
        let mut attackers = JoinSet::new();
        for target in targets {
            for attack in Attack::ALL
                .into_iter()
                .filter(|attack| attack.suits(target))
            {
                let connector = connector(target, attack)?;
                for _ in 0..each {
                    let besieged = besiege(
                        target.clone(),
                        attack,
                        connector.clone(),
                        Arc::clone(&tally),
                    );
                    attackers.spawn_on(besieged, runtime.handle());
                }
                let told = Told::default();
                lock(&tally).insert((target.name, attack), told);
            }
        }
        Ok(Self {
            tally,
            _attackers: attackers,
            _runtime: runtime,
        })
    }

    /// What each kind came to at each listener so far.
    #[must_use]
    pub fn told(&self) -> BTreeMap<(&'static str, Attack), Told> {
        lock(&self.tally).clone()
    }

    /// Those of which no connection was ended yet.
    #[must_use]
    pub fn unended(&self) -> Vec<(&'static str, Attack)> {
        let told = self.told().into_iter();
        told.filter(|(_, told)| told.ended == 0)
            .map(|(which, _)| which)
            .collect()
    }
}

fn lock(tally: &Tally) -> std::sync::MutexGuard<'_, BTreeMap<(&'static str, Attack), Told>> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connector(target: &Target, attack: Attack) -> Result<Option<Connector>> {
    let Some(ca) = target.ca.as_ref().filter(|_| attack.is_over_tls()) else {
        return Ok(None);
    };
    let trust = Trust::load(TrustFiles {
        ca: vec![ca.clone()],
        ..TrustFiles::default()
    })?;
    let alpn: &[&str] = if attack.is_http2() { &["h2"] } else { &[] };
    Ok(Some(Connector::new(trust, server_name("localhost")?, alpn)))
}

/// A stream of bytes, of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn besiege(target: Target, attack: Attack, connector: Option<Connector>, tally: Tally) {
    loop {
        if let Some(stream) = open(target.addr, connector.as_ref()).await {
            let count = |change: fn(&mut Told)| {
                change(lock(&tally).entry((target.name, attack)).or_default());
            };
            count(|told| told.made += 1);
            attack.run(stream).await;
            count(|told| told.ended += 1);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn open(addr: SocketAddr, connector: Option<&Connector>) -> Option<Box<dyn Stream>> {
    if let Some(connector) = connector {
        return Some(Box::new(connector.connect(addr, SOON).await.ok()?));
    }
    let connecting = tokio::net::TcpStream::connect(addr);
    let stream = tokio::time::timeout(SOON, connecting).await.ok()?.ok()?;
    Some(Box::new(stream))
}

/// Makes so many connections, one after the other, that say nothing until they are dropped.
///
/// # Errors
///
/// When one cannot be made: the file descriptors may be used up.
pub fn idle(addr: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    (0..count)
        .map(|made| {
            let stream = TcpStream::connect_timeout(&addr, SOON);
            stream.with_context(|| format!("connection {made} to {addr}"))
        })
        .collect()
}

/// Lets this process, and those that it starts from now on, have so many open files. Returns how many
/// there may be.
pub fn raise_descriptors(wanted: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return wanted;
    }
    let most = maximum.map_or(wanted, |maximum| maximum.max(wanted));
    let tries = [
        (wanted, Some(most)),
        (maximum.unwrap_or(wanted).min(wanted), maximum),
    ];
    for (current, maximum) in tries {
        let limit = Rlimit {
            current: Some(current),
            maximum,
        };
        // Only root may raise the maximum.
        if setrlimit(Resource::Nofile, limit).is_ok() {
            return current;
        }
    }
    current.unwrap_or(wanted)
}

/// Memory that a process has, bytes.
///
/// # Errors
///
/// When there is no such process.
pub fn resident_bytes(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(Path::new(&path)).with_context(|| path.clone())?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    let kib: u64 = number.context("no VmRSS")?.parse()?;
    Ok(kib * 1024)
}
