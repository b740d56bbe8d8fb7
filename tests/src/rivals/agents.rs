//! The agents of the rivals: what it costs `vmagent` and Prometheus' agent mode to scrape the same text of cAdvisor
//! from the same kubelet over TLS, beside Cairn's agent.
//!
//! They send all of it on by remote write, to somebody who throws it away. They keep any label and a log on disk,
//! and are told to scrape each second, so that there are enough scrapes in a short time; Cairn's figure is that of
//! `make bench`. What a rival does beside scraping is in its figure.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};

use super::seconds_since;
use super::server::{Launch, Server, free_addr};
use crate::bench::bed::Serving;
use crate::bench::line::Line;
use crate::bench::{moment, text};
use crate::deadline::Deadline;
use crate::proc::used::{Memory, cpu_seconds};
use crate::served::Served;
use crate::sim::{Control, Endpoint, Fault, Order, Reach};
use crate::system::TRACE_START_MS;
use crate::trace::{Options, Replay, Trace};

/// Scrapes before it is measured: the first one names every series.
const WARM: u64 = 10;

/// Scrapes that are measured, a second apart.
const SCRAPES: u64 = 45;

/// They are done long before.
const WITHIN: Duration = Duration::from_secs(180);

/// How often the text is given new times.
const FRESH_EVERY: Duration = Duration::from_millis(500);

/// How long Cairn's agent may be measured beyond its least number of ticks.
const CAIRN_FOR: Duration = Duration::from_secs(10);

/// One of them.
#[derive(Debug)]
struct Agent {
    name: &'static str,
    program: &'static str,
    ready: &'static str,
    /// Its arguments: the file that says what to scrape, its directory, where to listen and to write.
    arguments: fn(&Path, &Path, SocketAddr, SocketAddr) -> Vec<String>,
}

const ALL: [Agent; 2] = [
    Agent {
        name: "vmagent",
        program: "vmagent",
        ready: "/health",
        arguments: |config, data, addr, to| {
            vec![
                format!("-promscrape.config={}", config.display()),
                format!("-remoteWrite.url=http://{to}/"),
                format!("-remoteWrite.tmpDataPath={}", data.display()),
                format!("-httpListenAddr={addr}"),
                "-loggerLevel=WARN".to_owned(),
            ]
        },
    },
    Agent {
        name: "prometheus-agent",
        program: "prometheus",
        ready: "/-/ready",
        arguments: |config, data, addr, _| {
            vec![
                "--enable-feature=agent".to_owned(),
                format!("--config.file={}", config.display()),
                format!("--storage.agent.path={}", data.display()),
                format!("--web.listen-address={addr}"),
                "--log.level=warn".to_owned(),
            ]
        },
    },
];

/// Their names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|agent| agent.name)
}

/// Measures those that are wanted, and Cairn's agent before them.
pub(super) fn run(dir: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<Line>> {
    let wanted: Vec<&Agent> = ALL.iter().filter(|agent| wanted(agent.name)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines = text::run(CAIRN_FOR).context("cairn-agent")?;
    let own = lines.first().map_or(0.0, |line| line.value);
    for line in &mut lines {
        line.data = format!("cairn: {}", line.data);
    }
    for agent in wanted {
        let used = measure(agent, dir).context(agent.name)?;
        lines.extend(used.lines(agent.name));
        lines.push(Line {
            number: "1b",
            name: "agent_cpu_per_text",
            value: used.ms_a_scrape / own.max(0.001),
            unit: "times",
            goal: None,
            data: format!("{}/cairn; above 1 Cairn is better", agent.name),
        });
    }
    Ok(lines)
}

/// What one of them used.
#[derive(Debug)]
struct Used {
    ms_a_scrape: f64,
    scrapes: u64,
    peak: u64,
    sent_bytes: u64,
    text_bytes: usize,
    seconds: f64,
}

impl Used {
    fn lines(&self, name: &str) -> [Line; 3] {
        let data = format!(
            "{name}: K, the recorded text of 51 pods, {:.2} MB, TLS; {} scrapes in {:.0} s, all of it sent on by \
             remote write; beyond Cairn: any label, a log on disk",
            self.text_bytes as f64 / 1e6,
            self.scrapes,
            self.seconds
        );
        let line = |number, name, value, unit| Line {
            number,
            name,
            value,
            unit,
            goal: None,
            data: data.clone(),
        };
        let mib = self.peak as f64 / f64::from(1 << 20);
        let kib = self.sent_bytes as f64 / 1024.0 / self.scrapes.max(1) as f64;
        [
            line("1b", "agent_cpu_per_text", self.ms_a_scrape, "ms"),
            line("2", "agent_rss", mib, "MiB"),
            line("3", "agent_sent_per_text", kib, "KiB"),
        ]
    }
}

fn measure(agent: &Agent, shm: &Path) -> Result<Used> {
    let dir = shm.join(agent.name);
    std::fs::create_dir(&dir)?;
    let text = text::Text::recorded()?;
    let trace = Trace::of_51_pods()?;
    let options = Options::starting(TRACE_START_MS);
    let replay = Replay::new(&trace, "node1", options)?;
    let (kubelet, target, _serving) = Serving::start(("node1", TRACE_START_MS), replay, &dir)?;
    refresh(&kubelet, &text);
    let (sent, sink) = sink()?;
    let config = dir.join("scrape.yml");
    std::fs::write(&config, scrape_config(&dir, target, sink.addr))?;
    let addr = free_addr()?;
    let launch = Launch {
        name: agent.name,
        program: agent.program,
        arguments: (agent.arguments)(&config, &dir.join("data"), addr, sink.addr),
        addr,
        ready: agent.ready,
    };
    let server = Server::launch(&launch, dir)?;
    scrapes(&kubelet, &text, WARM).with_context(|| server.last_words())?;
    ensure!(
        sent.load(Ordering::Relaxed) > 0,
        "it sends nothing on: {}",
        server.last_words()
    );
    let began = moment::unix_us();
    let of = || {
        let used = cpu_seconds(server.id())?;
        let scrapes = kubelet.requests(Endpoint::Cadvisor);
        Ok::<_, anyhow::Error>((used, scrapes, sent.load(Ordering::Relaxed)))
    };
    let (used, count, bytes) = of()?;
    scrapes(&kubelet, &text, count + SCRAPES).with_context(|| server.last_words())?;
    let (used_then, count_then, bytes_then) = of()?;
    let scrapes = count_then - count;
    Ok(Used {
        ms_a_scrape: (used_then - used) * 1000.0 / scrapes.max(1) as f64,
        scrapes,
        peak: Memory::of(server.id())?.peak,
        sent_bytes: bytes_then - bytes,
        text_bytes: text.bytes,
        seconds: seconds_since(began),
    })
}

/// Waits until so many scrapes came, and keeps the times of the text fresh meanwhile.
fn scrapes(kubelet: &Control, text: &text::Text, count: u64) -> Result<()> {
    let deadline = Deadline::after(WITHIN);
    while kubelet.requests(Endpoint::Cadvisor) < count {
        deadline.left().context("it scrapes too seldom")?;
        refresh(kubelet, text);
        // Nothing to look for but the time.
        let _: Option<()> = Deadline::after(FRESH_EVERY).poll(|| None);
    }
    Ok(())
}

/// Gives all values of the text the time that it is now: older ones would be passed over.
fn refresh(kubelet: &Control, text: &text::Text) {
    kubelet.fault(&Order {
        endpoint: Reach::Cadvisor,
        fault: Fault::Body {
            text: text.at(moment::unix_us() / 1000),
        },
        for_requests: None,
    });
}

/// One target, as both of them read it; `vmagent` is told where to write by an argument.
fn scrape_config(dir: &Path, target: SocketAddr, to: SocketAddr) -> String {
    let file = |name: &str| dir.join(name).display().to_string();
    let job = format!(
        "scrape_configs:\n- job_name: cadvisor\n  scheme: https\n  metrics_path: /metrics/cadvisor\n  \
         scrape_interval: 1s\n  scrape_timeout: 1s\n  authorization:\n    credentials_file: {}\n  tls_config:\n    \
         ca_file: {}\n    server_name: node1\n  static_configs:\n  - targets: ['{target}']\n",
        file("kubelet.token"),
        file("node1-kubelet-ca.pem"),
    );
    let write = format!("remote_write:\n- url: http://{to}/\n");
    if dir.ends_with("vmagent") {
        return job;
    }
    job + &write
}

/// Somebody who takes everything by remote write, counts its bytes and throws it away.
fn sink() -> Result<(Arc<AtomicU64>, Served)> {
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let service = service_fn(move |request: Request<Incoming>| {
        let counted = Arc::clone(&counted);
        async move {
            let body = request.into_body().collect().await;
            let bytes = body.map(|body| body.to_bytes().len()).unwrap_or(0);
            counted.fetch_add(bytes as u64, Ordering::Relaxed);
            let mut response = Response::new(Empty::<Bytes>::new());
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok::<_, Infallible>(response)
        }
    });
    Ok((sent, Served::serving(service, None)?))
}
