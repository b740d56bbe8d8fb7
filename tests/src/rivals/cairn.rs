//! Cairn itself, on the same data: the real aggregator, one TLS stream a node, the driven clock.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::{Context as _, Result};
use cairn_proto::v1::agent_frame::Kind;
use serde::Deserialize;
use tokio::runtime::{Builder, Runtime};

use super::answer::{Points, Question};
use super::data::{Data, Feed};
use super::measured::Measured;
use super::{asked, feed};
use crate::bench::moment;
use crate::deadline::Deadline;
use crate::http1::Session;
use crate::pki::Pki;
use crate::proc::used::{Memory, cpu_seconds};
use crate::proc::{Proc, cores};
use crate::raw::RawAgent;
use crate::rfc3339;
use crate::system::System;

/// How far past a tick the clocks are when its rows travel.
const PAST_TICK_MS: u64 = 500;

/// Measures it.
pub(super) fn measure(data: &Data) -> Result<Measured> {
    let dir = tempfile::tempdir()?;
    let process = start(data, dir.path())?;
    let empty = Memory::of(process.id())?;
    // The streams live on a thread of their own, also while this one asks.
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let before_seconds = cpu_seconds(process.id())?;
    let began = moment::unix_us();
    let streams = fill(&runtime, &process, &dir.path().join("ingest-ca.pem"), data)?;
    let wall_seconds = moment::unix_us().saturating_sub(began) as f64 / 1e6;
    super::settle(process.id())?;
    let cpu_seconds = cpu_seconds(process.id())? - before_seconds;
    let full = Memory::of(process.id())?;
    let mut session = Session::new(process.addr("http")?);
    let timed = asked::ask(&mut session, &ask(data), read, data)?;
    drop(streams);
    Ok(Measured {
        name: "cairn",
        does_more: "",
        form: "rows in their frames over gRPC; TLS is used and not counted",
        empty,
        full,
        disk_bytes: 0,
        cpu_seconds,
        wall_seconds,
        wire_bytes: data.feed_bytes,
        timed,
    })
}

fn start(data: &Data, dir: &Path) -> Result<Proc> {
    let pki = Pki::new(dir)?;
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let ca = pki.ca("ingest-ca")?;
    let server = ca
        .leaf("server")
        .dns(&["localhost"])
        .ips(&[loopback])
        .write()?;
    let clock = format!("driven={}", data.question.first_ms);
    let limit = feed::MOST_MEMORY.to_string();
    let cert = server.cert_pem.display().to_string();
    let key = server.key_pem.display().to_string();
    let mut args = vec!["--clock", &clock, "--tls-cert", &cert, "--tls-key", &key];
    for listener in [
        "--grpc-listen",
        "--http-listen",
        "--https-listen",
        "--admin-listen",
    ] {
        args.extend([listener, "127.0.0.1:0"]);
    }
    args.extend(["--ingest-auth", "none", "--log", "warn"]);
    args.extend(["--memory-limit", &limit]);
    cores::on_theirs(|| Ok(Proc::start("cairn-aggregator", &args, &[])?))
}

/// Sends the feeds, tick after tick, and returns the open streams when every row is in the store.
/// A tick begins when the one before it is handed over, not when it has arrived.
fn fill(runtime: &Runtime, process: &Proc, ca: &Path, data: &Data) -> Result<Vec<RawAgent>> {
    let addr = process.addr("grpc")?;
    let now_ms = data.question.first_ms;
    let connect = async |feed: &Feed| {
        let mut agent = RawAgent::connect(addr, ca, "", now_ms).await?;
        agent.hello(&feed.node, now_ms).await?;
        Ok::<_, anyhow::Error>(agent)
    };
    let mut agents = Vec::new();
    for feed in &data.feeds {
        let agent = runtime.block_on(connect(feed));
        agents.push(agent.with_context(|| process.stderr())?);
    }
    let deadline = Deadline::after(feed::WITHIN);
    let ticks = data.feeds.first().map_or(0, |feed| feed.ticks.len());
    for at in 0..ticks {
        deadline.left().context("it is not fed in time")?;
        let tick_ms = now_ms + at as u64 * data.question.interval_ms;
        process.step(tick_ms + PAST_TICK_MS)?;
        for (agent, feed) in agents.iter_mut().zip(&data.feeds) {
            let Some(tick) = feed.ticks.get(at) else {
                continue;
            };
            agent.set_clock(tick_ms + PAST_TICK_MS);
            let defines = tick.defines.iter().cloned().map(Kind::Define);
            let kinds = defines.chain([Kind::Row(tick.row.clone())]);
            runtime.block_on(async {
                for kind in kinds {
                    agent.send(kind).await;
                }
            });
        }
    }
    let rows = (data.feeds.len() * ticks) as f64;
    let arrived = deadline.poll(|| {
        let name = "cairn_aggregator_ingest_rows_total";
        let found = System::metric(process, name, "applied").ok()?;
        (found >= rows).then_some(())
    });
    arrived.with_context(|| format!("not every row arrived: {}", process.stderr()))?;
    Ok(agents)
}

/// The request that answers the question: the range of a namespace's pods.
fn ask(data: &Data) -> String {
    let Question {
        namespace,
        field,
        first_ms,
        ..
    } = &data.question;
    format!(
        "/api/cairn/v1/range?metric={}&namespace={namespace}&kind=pod&start={}",
        field.name,
        rfc3339::format(*first_ms)
    )
}

#[derive(Deserialize)]
struct Range {
    ticks: Vec<u64>,
    series: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    pod: String,
    values: Vec<Option<u64>>,
}

/// Reads the series: a pod each, with as many values as there are ticks.
fn read(body: &[u8]) -> Result<Points> {
    let range: Range = serde_json::from_slice(body)?;
    let points = |values: Vec<Option<u64>>| {
        let points = range.ticks.iter().copied().zip(values);
        points.filter_map(|(tick_ms, value)| Some((tick_ms, value?)))
    };
    let series = range.series.into_iter();
    Ok(series
        .map(|one| (one.pod, points(one.values).collect()))
        .collect())
}
