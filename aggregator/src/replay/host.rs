//! Finds the addresses of one peer host and keeps a task for each.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::logging::{self, Repeat};
use cairn_runtime::readiness::Note;
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::{Group, TaskError};
use tokio::time::{Instant, timeout};

use super::Inner;
use super::address::Address;
use super::connect;
use super::end::Kind;
use super::ready::Hold;
use crate::config::PeerHost;

/// Addresses of one host that are asked: more replicas than anybody runs of a cache.
const MAX_ADDRESSES: usize = 8;

/// How often the name is looked up: a replica that was replaced has what its predecessor had.
const LOOKUP_EVERY: Duration = Duration::from_secs(10);

/// Time for a look-up.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(5);

/// How long an address that left the name service is still tried: answers flap.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// Time for all exchanges to end.
const DRAIN_DEADLINE: Duration = Duration::from_secs(1);

/// One address that is asked.
#[derive(Debug)]
struct Tracked {
    token: Token,
    seen: Instant,
}

/// Asks every address of a host until the process stops.
///
/// # Errors
///
/// None: the result is what a supervised task returns.
pub(super) async fn run(
    host: PeerHost,
    token_file: Option<PathBuf>,
    inner: Arc<Inner>,
    hold: Arc<Hold>,
) -> Result<(), TaskError> {
    let token = inner.parts.token.clone();
    let connector = connect::connector(&host);
    let group = Group::new("exchanges", MAX_ADDRESSES);
    let mut tracked: HashMap<SocketAddr, Tracked> = HashMap::new();
    let mut lookups = Lookups::default();
    let mut hold = Some(hold);
    loop {
        let found = tokio::select! {
            biased;
            () = token.cancelled() => break,
            found = lookups.resolve(&host, &inner) => found,
        };
        let now = Instant::now();
        for address in found {
            if let Some(known) = tracked.get_mut(&address) {
                known.seen = now;
                continue;
            }
            let child = token.child_token();
            let task = Address {
                host: host.clone(),
                address,
                connector: connector.clone(),
                token_file: token_file.clone(),
                inner: Arc::clone(&inner),
                token: child.clone(),
            };
            // A full group has room again when an old address has been forgotten.
            if group.try_spawn(task.run(hold.clone())).is_ok() {
                let (token, seen) = (child, now);
                tracked.insert(address, Tracked { token, seen });
            }
        }
        // Addresses that come later hold nothing back.
        hold = None;
        tracked.retain(|_, known| {
            let keep = now.duration_since(known.seen) < FORGET_AFTER;
            if !keep {
                known.token.cancel();
            }
            keep
        });
        tokio::select! {
            biased;
            () = token.cancelled() => break,
            () = tokio::time::sleep(LOOKUP_EVERY) => {}
        }
    }
    let left = group.drained(DRAIN_DEADLINE).await;
    if left > 0 {
        tracing::warn!(host = host.host, left, "exchanges did not end in time");
    }
    Ok(())
}

/// Looks the name up and says when that begins or ceases to fail.
#[derive(Debug, Default)]
struct Lookups {
    failing: Option<String>,
    repeat: Repeat,
}

impl Lookups {
    /// The addresses; none when the look-up failed, which leaves what is known in use.
    async fn resolve(&mut self, host: &PeerHost, inner: &Inner) -> Vec<SocketAddr> {
        let readiness = &inner.parts.readiness;
        let note = format!("peer {}", host.authority());
        let lookup = tokio::net::lookup_host((host.host.as_str(), host.port));
        let why = match timeout(LOOKUP_DEADLINE, lookup).await {
            Ok(Ok(found)) => {
                let mut found: Vec<SocketAddr> = found.collect();
                found.sort_unstable();
                found.dedup();
                found.truncate(MAX_ADDRESSES);
                if self.failing.take().is_some() {
                    self.repeat.reset();
                    readiness.clear(&note);
                    tracing::info!(peer = note, "name resolves");
                }
                return found;
            }
            Ok(Err(error)) => logging::chain(&error),
            Err(_) => format!("no answer within {LOOKUP_DEADLINE:?}"),
        };
        inner.parts.metrics.failed(Kind::Resolve);
        let changed = self.failing.as_ref() != Some(&why);
        if let Some(held_back) = self.repeat.should_log(Instant::now(), changed) {
            let reason = format!("{why}: check --peer and the name service");
            tracing::warn!(peer = note, reason, held_back, "name does not resolve");
            readiness.note(note, Note::Degraded(reason));
        }
        self.failing = Some(why);
        Vec::new()
    }
}
