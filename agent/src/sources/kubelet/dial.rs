//! Reaching the kubelet: which address answers, and whether a token may be sent there.
//!
//! Addresses with TLS are tried in their order, the one that worked last first; the port without TLS,
//! where it is allowed, only when none of them gave a connection, and not when a certificate was refused:
//! then somebody is there who is not the kubelet, or the trust is to be mended. A token goes over connections that
//! were verified, and else only to a process of uid 0 on this machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::tasks;
use cairn_runtime::tls::{ClientStream, ConnectError, ConnectKind, Connector, Trust};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::owner;
use super::{Client, Error};
use crate::config::TargetTrust;
use crate::sources::FailureKind;

/// A connection to the kubelet.
pub(super) struct Reached {
    /// Where it leads.
    pub(super) address: SocketAddr,
    /// What goes over it.
    pub(super) line: Line,
}

/// What a connection goes over.
pub(super) enum Line {
    Tls {
        stream: Box<ClientStream>,
        /// Whether a token may be sent.
        takes_token: bool,
    },
    /// Nothing is encrypted, nobody verified.
    Plain(TcpStream),
}

impl Client {
    /// Tries the addresses in order.
    pub(super) async fn dial(&mut self, deadline: Duration) -> Result<Reached, Error> {
        let count = self.target.addresses.len();
        let (each, each_plain) = shares(deadline, count, self.target.plain.len());
        let mut failed = None;
        for at in (0..count).map(|n| (self.preferred + n) % count) {
            let Some(address) = self.target.addresses.get(at) else {
                continue;
            };
            let (connector, trust) = (&self.connector, &self.target.trust);
            match dial_tls(connector, trust, *address, each).await {
                Ok(line) => {
                    self.preferred = at;
                    let address = *address;
                    return Ok(Reached { address, line });
                }
                Err(next) => failed = Some(more_telling(failed, next)),
            }
        }
        match failed {
            Some(failed) if is_refused(&failed) => Err(failed),
            Some(failed) => self.dial_read_only(each_plain, failed).await,
            None => self.dial_plain(each_plain).await,
        }
    }

    /// The addresses without TLS where there are no others.
    async fn dial_plain(&mut self, each: Duration) -> Result<Reached, Error> {
        let mut failed = Error::NoTrust;
        for address in &self.target.plain {
            let (addr, address) = (*address, *address);
            let source = match timeout(each, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let line = Line::Plain(stream);
                    return Ok(Reached { address, line });
                }
                Ok(Err(source)) => ConnectError::Dial { addr, source },
                Err(_) => ConnectError::Deadline {
                    addr,
                    deadline: each,
                },
            };
            let source = Box::new(source);
            failed = Error::Connect { source };
        }
        Err(failed)
    }

    /// The port without TLS, where it is allowed and somebody is there; else why nothing else was reached.
    async fn dial_read_only(&mut self, each: Duration, failed: Error) -> Result<Reached, Error> {
        for address in &self.target.plain {
            if let Ok(Ok(stream)) = timeout(each, TcpStream::connect(address)).await {
                if let Some(times) = self.told_read_only.should_log(Instant::now(), false) {
                    tracing::warn!(
                        %address, times,
                        reason = failed.told_of(self.target.who),
                        "kubelet is read without TLS: nobody is verified there, and no token is sent"
                    );
                }
                let address = *address;
                let line = Line::Plain(stream);
                return Ok(Reached { address, line });
            }
        }
        Err(failed)
    }
}

/// How long an address with TLS, and one without, may take: those with TLS come first and share most of the
/// time, so that a slow one is not given up for one where nobody is verified.
pub(super) fn shares(deadline: Duration, with_tls: usize, plain: usize) -> (Duration, Duration) {
    let among = |time: Duration, count: usize| time / u32::try_from(count.max(1)).unwrap_or(1);
    if plain == 0 {
        return (among(deadline, with_tls), Duration::ZERO);
    }
    if with_tls == 0 {
        return (Duration::ZERO, among(deadline, plain));
    }
    // A connection on this machine or its own address is there at once.
    let rest = deadline / 5;
    (among(deadline - rest, with_tls), among(rest, plain))
}

/// True when a server's certificate was seen and not believed.
fn is_refused(error: &Error) -> bool {
    matches!(error, Error::Connect { source } if source.kind() == ConnectKind::Certificate)
}

async fn dial_tls(
    connector: &Connector,
    trust: &TargetTrust,
    address: SocketAddr,
    each: Duration,
) -> Result<Line, Error> {
    if trust.trust().is_empty() {
        return Err(Error::NoTrust);
    }
    let version = trust.trust().version();
    let mut stream = connector.connect(address, each).await;
    let is_refused = |error: &ConnectError| error.kind() == ConnectKind::Certificate;
    // A kubelet that was started anew may have another certificate, and the file of it is there before it
    // serves: nobody waits until files are read again.
    if stream.as_ref().is_err_and(is_refused) && is_newer(trust.trust(), version).await {
        stream = connector.connect(address, each).await;
    }
    let stream = stream.map_err(|refused| Error::Connect {
        source: Box::new(refused),
    })?;
    let takes_token = match trust {
        TargetTrust::Verified(_) => true,
        TargetTrust::Insecure(_) => owner::is_root(stream.get_ref().0.get_ref()).await,
    };
    Ok(Line::Tls {
        stream: Box::new(stream),
        takes_token,
    })
}

/// Reads the trust's files; true when others than those of that version are in use after it, whoever has read
/// them. What is found is logged where they are read.
async fn is_newer(trust: &Arc<Trust>, version: u64) -> bool {
    let reading = Arc::clone(trust);
    let read = tasks::blocking("read trusted certificates", move || {
        drop(reading.reload());
    });
    if let Err(error) = read.await {
        tracing::error!(%error, "trusted certificates were not read again");
    }
    trust.version() != version
}

/// Of two addresses that failed, what is told: that a server's certificate was refused, rather than that the other
/// spoke no TLS, and that rather than that nobody was there; else the later. So a refusal at any address is what
/// remains of all of them.
pub(super) fn more_telling(known: Option<Error>, next: Error) -> Error {
    let weight = |error: &Error| match error {
        refused if is_refused(refused) => 2,
        other => u8::from(other.kind() == FailureKind::Certificate),
    };
    match known {
        Some(known) if weight(&known) > weight(&next) => known,
        _ => next,
    }
}
