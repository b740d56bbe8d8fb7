//! Goal 9: a list of all pods of a large cluster, as `kubectl top pods -A` asks for it.
//!
//! The aggregator watches an API server that has every pod of the fleet, as it does in a cluster, and believes
//! a front proxy. Who asks is that proxy: a client of its own, over TLS, that only counts what it reads. Both
//! have all cores; ticks stand still meanwhile.

mod client;
pub(super) mod ready;

use anyhow::Result;

use super::sheet::Sheet;
use super::{Goal, Line, Options};
use crate::fleet;
use crate::fleet::cluster::Cluster;
use crate::mix::{Fields, Kind};
use ready::{PODS, Ready};

/// How often a list of everything is asked for, and one of a namespace.
const LISTS: usize = 7;
const NAMESPACES: usize = 101;

/// The list of one of them.
const NAMESPACE: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/ns-0/pods";

pub(super) fn run(options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut fleet = fleet::Options::of(Kind::C, options.agents);
    fleet.mix.fields = Fields::Twenty;
    fleet.mix.pods_per_node = Some(30);
    let cluster = Cluster::start(&fleet, dir.path())?;
    let ready = Ready::start(fleet, cluster, dir.path())?;
    let words = format!(
        "C, {} pods of {} nodes with 2 containers, four labels each, over TLS on loopback, all cores for both",
        ready.pods, options.agents
    );
    let json = ready.asks(PODS, &[], LISTS)?;
    let protobuf = ready.asks(
        PODS,
        &[("Accept", "application/vnd.kubernetes.protobuf")],
        LISTS,
    )?;
    let gzip = ready.asks(PODS, &[("Accept-Encoding", "gzip")], LISTS)?;
    let namespace = ready.asks(NAMESPACE, &[], NAMESPACES)?;
    let in_ms = |us: u64| us as f64 / 1e3;
    for (asked, form, last, first) in [
        (
            &json,
            "JSON",
            ("list_json_last_byte", 300.0),
            Some(("list_json_first_byte", 20.0)),
        ),
        (
            &protobuf,
            "protobuf",
            ("list_protobuf_last_byte", 300.0),
            Some(("list_protobuf_first_byte", 60.0)),
        ),
        (&gzip, "JSON, gzip", ("list_gzip_last_byte", 900.0), None),
    ] {
        let kib = asked.bytes >> 10;
        let data = format!("{words}; {form}, {kib} KiB, median of {LISTS}");
        let line = |(name, goal_ms), us| Line {
            number: "9",
            name,
            value: in_ms(us),
            unit: "ms",
            goal: options.goal(Goal::AtMost(goal_ms)),
            data: data.clone(),
        };
        sheet.line(&line(last, asked.last_us))?;
        if let Some(first) = first {
            sheet.line(&line(first, asked.first_us))?;
        }
    }
    let most = json.memory.max(protobuf.memory).max(gzip.memory);
    sheet.line(&Line {
        number: "9",
        name: "list_extra_memory",
        value: most as f64 / f64::from(1 << 20),
        unit: "MiB",
        goal: options.goal(Goal::AtMost(16.0)),
        data: format!(
            "{words}; most resident memory of the aggregator less that before, of all these lists"
        ),
    })?;
    sheet.line(&Line {
        number: "9",
        name: "list_namespace_last_byte",
        value: in_ms(namespace.last_us),
        unit: "ms",
        goal: options.goal(Goal::AtMost(5.0)),
        data: format!(
            "{words}; JSON of one namespace, {} KiB, median of {NAMESPACES}",
            namespace.bytes >> 10
        ),
    })?;
    Ok(())
}
