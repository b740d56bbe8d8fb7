//! Finds the addresses of one aggregator host and keeps a task for each.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cairn_runtime::lookup::{Host, Lookups};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::{Group, TaskError};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{EndKind, Setup, address, connect};
use crate::config::Aggregator;
use crate::metrics::ByKind;

/// Addresses of one host that are streamed to: more replicas than anybody runs of a cache.
const MAX_ADDRESSES: usize = 8;

/// How often the name is looked up while all is well.
const LOOKUP_EVERY: Duration = Duration::from_secs(30);

/// How often while an address is down: a replica that was replaced is found soon.
const LOOKUP_EVERY_DOWN: Duration = Duration::from_secs(5);

/// How long an address that left the name service is still tried: answers flap.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// Time for all sessions to say goodbye; the process as a whole has five seconds.
const DRAIN_DEADLINE: Duration = Duration::from_millis(3_500);

/// One address that is streamed to.
#[derive(Debug)]
struct Tracked {
    token: Token,
    up: Arc<AtomicBool>,
    seen: Instant,
}

/// Keeps sessions to every address of a host until the token is cancelled and they have said
/// goodbye.
///
/// # Errors
///
/// None: the result is what a supervised task returns.
pub async fn run(target: Aggregator, setup: Setup, token: Token) -> Result<(), TaskError> {
    let connector = connect::connector(&target);
    let group = Group::new("sessions", MAX_ADDRESSES);
    let nudge = Arc::new(Notify::new());
    let mut tracked: HashMap<SocketAddr, Tracked> = HashMap::new();
    let mut lookups = Lookups::default();
    loop {
        // A look-up that is given up on is made again with the next loop, if there is one.
        let found = tokio::select! {
            biased;
            () = token.cancelled() => break,
            found = lookups.resolve(name(&target), &setup.readiness) => found,
        };
        if found.is_none() {
            let kind = EndKind::Resolve.as_str();
            setup.metrics.ends.get_or_create(&ByKind { kind }).inc();
        }
        if let Some(found) = found {
            let now = Instant::now();
            for address in found {
                if let Some(known) = tracked.get_mut(&address) {
                    known.seen = now;
                    continue;
                }
                let child = Tracked {
                    token: token.child_token(),
                    up: Arc::new(AtomicBool::new(false)),
                    seen: now,
                };
                let task = address::Address {
                    target: target.clone(),
                    address,
                    connector: connector.clone(),
                    setup: setup.clone(),
                    token: child.token.clone(),
                    up: Arc::clone(&child.up),
                    nudge: Arc::clone(&nudge),
                };
                // A full group has room again when an old address has been forgotten.
                if group.try_spawn(task.run()).is_ok() {
                    setup.metrics.addresses.inc();
                    tracked.insert(address, child);
                }
            }
            tracked.retain(|_, known| {
                let keep = now.duration_since(known.seen) < FORGET_AFTER;
                if !keep {
                    known.token.cancel();
                    setup.metrics.addresses.dec();
                }
                keep
            });
        }
        let all_up = !tracked.is_empty()
            && tracked
                .values()
                .all(|known| known.up.load(Ordering::Relaxed));
        let pause = if all_up {
            LOOKUP_EVERY
        } else {
            LOOKUP_EVERY_DOWN
        };
        // All branches are cancel safe; a nudge that is not heard is made up for by the next pause.
        tokio::select! {
            biased;
            () = token.cancelled() => break,
            () = nudge.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    let left = group.drained(DRAIN_DEADLINE).await;
    if left > 0 {
        tracing::warn!(host = target.host, left, "sessions did not end in time");
    }
    Ok(())
}

/// How the host is looked up.
pub(super) fn name(target: &Aggregator) -> Host<'_> {
    Host {
        what: "aggregator",
        flag: "--aggregator",
        host: &target.host,
        port: target.port,
        most: MAX_ADDRESSES,
    }
}
