//! Finds the addresses of one aggregator host and keeps a task for each.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cairn_runtime::logging::Repeat;
use cairn_runtime::lookup::{Host, Lookups, Resolver};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::{Group, TaskError};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::address::Address;
use super::connect::{Dialled, Links};
use super::{EndKind, Setup};
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
    let links = Dialled::new(target.clone());
    keep(Kept::new(target, links, setup), Lookups::default(), token).await;
    Ok(())
}

/// The same, with look-ups and connections of any origin.
pub(super) async fn keep<L: Links, R: Resolver>(
    mut kept: Kept<L>,
    mut lookups: Lookups<R>,
    token: Token,
) {
    loop {
        // A look-up that is given up on is made again with the next loop, if there is one.
        let found = tokio::select! {
            biased;
            () = token.cancelled() => break,
            found = lookups.resolve(name(&kept.target), &kept.setup.readiness) => found,
        };
        match found {
            Some(found) => kept.found(found, &token),
            None => {
                let kind = EndKind::Resolve.as_str();
                let ends = &kept.setup.metrics.ends;
                ends.get_or_create(&ByKind { kind }).inc();
            }
        }
        // All branches are cancel safe; a nudge that is not heard is made up for by the next pause.
        tokio::select! {
            biased;
            () = token.cancelled() => break,
            () = kept.nudge.notified() => {}
            () = tokio::time::sleep(kept.pause()) => {}
        }
    }
    let left = kept.group.drained(DRAIN_DEADLINE).await;
    if left > 0 {
        let host = kept.target.host;
        tracing::warn!(host, left, "sessions did not end in time");
    }
}

/// The addresses of one host that are streamed to.
#[derive(Debug)]
pub(super) struct Kept<L> {
    target: Aggregator,
    links: L,
    setup: Setup,
    group: Group,
    nudge: Arc<Notify>,
    tracked: HashMap<SocketAddr, Tracked>,
    waiting: Repeat,
}

impl<L: Links> Kept<L> {
    pub(super) fn new(target: Aggregator, links: L, setup: Setup) -> Self {
        Self {
            target,
            links,
            setup,
            group: Group::new("sessions", MAX_ADDRESSES),
            nudge: Arc::new(Notify::new()),
            tracked: HashMap::new(),
            waiting: Repeat::new(),
        }
    }

    /// Begins with addresses that are new, and ends those that are gone for too long.
    fn found(&mut self, found: Vec<SocketAddr>, token: &Token) {
        let now = Instant::now();
        let mut waiting = 0;
        for address in found {
            if let Some(known) = self.tracked.get_mut(&address) {
                known.seen = now;
            } else if !self.begin(address, token.child_token(), now) {
                waiting += 1;
            }
        }
        if waiting > 0
            && let Some(held_back) = self.waiting.should_log(now, false)
        {
            let host = &self.target.host;
            tracing::info!(
                host,
                waiting,
                held_back,
                "new addresses wait until those that the name lost are given up: {MAX_ADDRESSES} have \
                 sessions at most"
            );
        }
        let addresses = &self.setup.metrics.addresses;
        self.tracked.retain(|_, known| {
            let keep = now.duration_since(known.seen) < FORGET_AFTER;
            if !keep {
                known.token.cancel();
                addresses.dec();
            }
            keep
        });
    }

    /// Begins to stream to an address; false when there are as many as there may be. There is room
    /// again when an old one has been forgotten.
    fn begin(&mut self, address: SocketAddr, token: Token, seen: Instant) -> bool {
        let up = Arc::default();
        let task = Address {
            host: self.target.host.clone(),
            address,
            links: self.links.clone(),
            setup: self.setup.clone(),
            token: token.clone(),
            up: Arc::clone(&up),
            nudge: Arc::clone(&self.nudge),
        };
        let begun = self.group.try_spawn(task.run()).is_ok();
        if begun {
            self.setup.metrics.addresses.inc();
            self.tracked.insert(address, Tracked { token, up, seen });
        }
        begun
    }

    /// How long until the next look-up, unless a session ends before.
    fn pause(&self) -> Duration {
        let mut ups = self.tracked.values().map(|known| &known.up);
        if !self.tracked.is_empty() && ups.all(|up| up.load(Ordering::Relaxed)) {
            LOOKUP_EVERY
        } else {
            LOOKUP_EVERY_DOWN
        }
    }
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
