//! Finds the addresses of one peer host and keeps a task for each.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::lookup::{Host, Lookups};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::{Group, TaskError};
use tokio::time::Instant;

use super::Inner;
use super::address::Address;
use super::connect;
use super::end::Kind;
use super::ready::Hold;
use crate::config::HttpsHost;

/// Addresses of one host that are asked: more replicas than anybody runs of a cache.
const MAX_ADDRESSES: usize = 8;

/// How often the name is looked up: a replica that was replaced has what its predecessor had.
const LOOKUP_EVERY: Duration = Duration::from_secs(10);

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
    host: HttpsHost,
    token_file: Option<PathBuf>,
    inner: Arc<Inner>,
    hold: Arc<Hold>,
) -> Result<(), TaskError> {
    let token = inner.parts.token.clone();
    // Certificates that are made here come a moment after the start; nobody is asked before, and whoever
    // waits for the answers waits on.
    tokio::select! {
        biased;
        () = token.cancelled() => return Ok(()),
        () = host.trust.there() => {}
    }
    let connector = connect::connector(&host);
    let group = Group::new("exchanges", MAX_ADDRESSES);
    let mut tracked: HashMap<SocketAddr, Tracked> = HashMap::new();
    let mut lookups = Lookups::default();
    let mut hold = Some(hold);
    loop {
        let found = tokio::select! {
            biased;
            () = token.cancelled() => break,
            found = lookups.resolve(name(&host), &inner.parts.readiness) => found,
        };
        if found.is_none() {
            inner.parts.metrics.failed(Kind::Resolve);
        }
        let now = Instant::now();
        for address in found.iter().flatten().copied() {
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
            // While the name service fails nobody is forgotten.
            let keep = found.is_none() || now.duration_since(known.seen) < FORGET_AFTER;
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

fn name(host: &HttpsHost) -> Host<'_> {
    Host {
        what: "peer",
        flag: "--peer",
        host: &host.host,
        port: host.port,
        most: MAX_ADDRESSES,
    }
}
