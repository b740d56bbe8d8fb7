//! An agent of the node `node1` that reads this machine alone: no kubelet, no cAdvisor, a row a second.

use std::path::Path;

use crate::proc::{Error, Proc};

/// Starts one that streams to these aggregators, which have a certificate for the ingest service of `deploy/`; CA
/// and token are the files `ca.crt` and `agent.token` of the directory.
///
/// # Errors
///
/// As [`Proc::start`], and when an aggregator has no gRPC listener.
pub fn start(dir: &Path, aggregators: &[&Proc]) -> Result<Proc, Error> {
    let url = |one: &&Proc| Ok::<_, Error>(format!("https://{}", one.addr("grpc")?));
    let urls = aggregators.iter().map(url).collect::<Result<Vec<_>, _>>()?;
    let file = |name: &str| dir.join(name).display().to_string();
    let args = [
        ("--node-name", "node1"),
        ("--interval", "1s"),
        ("--aggregator", &urls.join(",")),
        ("--aggregator-ca", &file("ca.crt")),
        ("--aggregator-server-name", "cairn-ingest.cairn.svc"),
        ("--token-file", &file("agent.token")),
        ("--kubelet", "off"),
        ("--cadvisor", "off"),
        ("--admin-listen", "127.0.0.1:0"),
    ];
    let args: Vec<&str> = args
        .iter()
        .flat_map(|(flag, value)| [*flag, *value])
        .collect();
    Proc::start("cairn-agent", &args, &[])
}
