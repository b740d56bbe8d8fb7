//! Asks the process at one address, as often as there is something to ask for.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::backoff::Backoff;
use cairn_runtime::logging::Repeat;
use cairn_runtime::readiness::Note;
use cairn_runtime::shutdown::Token;
use cairn_runtime::tls::Connector;
use tokio::time::Instant;

use super::Inner;
use super::asking::{Asking, Queue};
use super::connect::Link;
use super::end::{Done, Failure, Kind};
use super::ready::Hold;
use crate::config::HttpsHost;
use crate::pressure::Level;

/// The first delay after a failure.
const BASE: Duration = Duration::from_millis(200);

/// The longest delay: a peer that is started anew is asked while others may still be ended.
const CAP: Duration = Duration::from_secs(15);

/// An exchange that lived this long was a good one.
const MIN_LIFE: Duration = Duration::from_secs(10);

/// How long a process that is asked at another address is left alone at this one.
const ELSEWHERE: Duration = Duration::from_secs(30);

/// What the task of one address works with.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) host: HttpsHost,
    pub(super) address: SocketAddr,
    pub(super) connector: Connector,
    pub(super) token_file: Option<PathBuf>,
    pub(super) inner: Arc<Inner>,
    pub(super) token: Token,
}

impl Address {
    /// Asks, again and again. `hold` keeps the process from being ready until the first round is
    /// over, well or not.
    pub(super) async fn run(self, mut hold: Option<Arc<Hold>>) {
        let note = format!("peer {} ({})", self.host.host, self.address);
        let readiness = &self.inner.parts.readiness;
        let mut queue = Queue::new(self.inner.parts.wishes.clone());
        let mut backoff = Backoff::new(BASE, CAP, MIN_LIFE);
        let mut told = Told::default();
        while !self.token.is_cancelled() {
            let pressure = &self.inner.parts.pressure;
            if pressure.level() > Level::Calm {
                // There is no room for history, and readiness does not wait for any.
                hold = None;
                self.until(pressure.calm()).await;
                continue;
            }
            let began = Instant::now();
            let end = tokio::select! {
                biased;
                () = self.token.cancelled() => Ok(Done::Shutdown),
                end = self.exchange(&note, &mut queue, &mut hold) => end,
            };
            queue.put_back();
            hold = None;
            match end {
                Ok(Done::Idle) => {
                    told = Told::default();
                    readiness.note(note.clone(), Note::Good("asked".to_owned()));
                    self.until(queue.wished()).await;
                }
                Ok(Done::Own) => {
                    tracing::info!(peer = note, "the address is this process's own");
                    readiness.clear(&note);
                    // It is for as long as it is an address of the name.
                    self.token.cancelled().await;
                }
                Ok(Done::Elsewhere) => {
                    let text = "asked at another address".to_owned();
                    readiness.note(note.clone(), Note::Good(text));
                    self.until(tokio::time::sleep(ELSEWHERE)).await;
                }
                Ok(Done::Shutdown) => break,
                Err(failure) => {
                    self.inner.parts.metrics.failed(failure.kind);
                    readiness.note(note.clone(), Note::Degraded(failure.reason.clone()));
                    told.failed(&note, failure);
                    backoff.lived(began.elapsed());
                    self.until(tokio::time::sleep(backoff.next())).await;
                }
            }
        }
        readiness.clear(&note);
    }

    async fn until(&self, what: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = self.token.cancelled() => {}
            () = what => {}
        }
    }

    /// One exchange, from the connection to its end.
    async fn exchange(
        &self,
        note: &str,
        queue: &mut Queue,
        hold: &mut Option<Arc<Hold>>,
    ) -> Result<Done, Failure> {
        let link = Link::open(&self.host, &self.connector, self.address).await?;
        let begun = Asking::begin(link, &self.inner, self.token_file.as_deref()).await?;
        let (mut asking, instance) = begun;
        if instance == self.inner.parts.instance {
            return Ok(Done::Own);
        }
        let Some(_seat) = self.inner.enter(&instance) else {
            return Ok(Done::Elsewhere);
        };
        let text = "asked for history".to_owned();
        let readiness = &self.inner.parts.readiness;
        readiness.note(note, Note::Good(text));
        let exchanges = &self.inner.parts.metrics.exchanges;
        exchanges.inc();
        let counted = Counted(exchanges);
        let end = asking.serve(queue, hold).await;
        drop(counted);
        if end.is_ok() {
            let Asking { nodes, rows, .. } = asking;
            tracing::info!(
                peer = note,
                instance,
                nodes,
                rows,
                "peer was asked for history"
            );
        }
        end
    }
}

/// Counts an exchange for as long as it lives, however it ends.
struct Counted<'a>(&'a prometheus_client::metrics::gauge::Gauge);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What was said in the log, so that nothing is said again each second.
#[derive(Debug, Default)]
struct Told {
    last: Option<(Kind, String)>,
    repeat: Repeat,
}

impl Told {
    fn failed(&mut self, peer: &str, failure: Failure) {
        let what = (failure.kind, failure.reason);
        let changed = self.last.as_ref() != Some(&what);
        if let Some(held_back) = self.repeat.should_log(Instant::now(), changed) {
            let (kind, reason) = (what.0.as_str(), &what.1);
            tracing::warn!(peer, kind, reason, held_back, "no history from a peer");
        }
        self.last = Some(what);
    }
}
