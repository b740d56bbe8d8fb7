//! The aggregators: every address that the agent would stream to.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::finding::{Finding, Identity, Trouble};
use super::together;
use crate::config::{Aggregator, Config};
use crate::uplink::{End, Probe};

/// Its host and port as people write them.
pub(super) fn named(target: &Aggregator) -> String {
    let (host, port) = (&target.host, target.port);
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Looks the host up and asks each of its addresses.
pub(super) async fn look(config: &Config, target: &Aggregator, unix_ms: u64) -> Vec<Finding> {
    let began = Instant::now();
    let blank = || Finding {
        identity: Identity::of(config.token_file.as_deref()),
        server_name: Some(target.server_name.to_str().into_owned()),
        ..Finding::new("aggregator", named(target))
    };
    let addresses = match Probe::addresses(target).await {
        Ok(addresses) => addresses,
        Err(end) => {
            return vec![Finding {
                failure: Some(trouble(&end)),
                took: began.elapsed(),
                ..blank()
            }];
        }
    };
    let resolved = began.elapsed();
    let probe = Probe {
        node: &config.node,
        interval_ms: config.interval_ms,
        token_file: config.token_file.as_deref(),
        unix_ms,
    };
    let asked = addresses
        .into_iter()
        .map(|address| ask(probe, target, address, resolved, blank()));
    together::all(asked).await
}

async fn ask(
    probe: Probe<'_>,
    target: &Aggregator,
    address: SocketAddr,
    resolved: Duration,
    blank: Finding,
) -> Finding {
    let began = Instant::now();
    let probed = probe.ask(target, address).await;
    Finding {
        address: address.to_string(),
        reached: probed.reached,
        voucher: probed.voucher,
        took: resolved + began.elapsed(),
        failure: probed.result.err().as_ref().map(trouble),
        ..blank
    }
}

fn trouble(end: &End) -> Trouble {
    Trouble::new(end.kind.as_str(), end.reason.clone())
}
