//! Readers never block ingest: a client that reads a huge range at one byte a second delays no row,
//! and holds no more than its socket does.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use cairn_proto::codec::{DENSE, row, row::Timed};
use cairn_proto::v1;
use cairn_proto::v1::agent_frame::Kind;
use cairn_proto::v1::aggregator_frame::Kind as Answer;
use testkit::deadline::Deadline;
use testkit::mix::{self, Mix, Row};
use testkit::raw::RawAgent;
use testkit::reader::Reader;
use testkit::system::{Options, System, TRACE_START_MS};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

/// Rows of the window, a second apart.
const ROWS: usize = 800;

/// Pods of the node, with two containers each.
const PODS: usize = 150;

/// Slow clients of each kind.
const SLOW: usize = 24;

/// Rows that come while they read.
const MORE: usize = 20;

/// Rows whose acknowledgements are waited for, without readers and with them: each takes a second.
const ACKED: usize = 10;

/// In which a row is acknowledged while the clock stands at its tick, so that nothing but the aggregator's own work can
/// put it off: a second after the one before, and four for a busy machine.
const ACKED_WITHIN: Duration = Duration::from_secs(5);

/// How long a slow client takes for a byte.
const A_BYTE: Duration = Duration::from_secs(1);

/// In which a row must show: what an aggregator without readers takes, many times over.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Everything of every container.
const WHOLE: &str = "/api/cairn/v1/range?kind=container&metric=cpu_usage_core_nanos";

/// Answers that are made while they are read, at most.
const PLACES: usize = 64;

/// In which places that were left are free.
const SOON: Duration = Duration::from_secs(10);

/// What all of them together may cost; their answers come to several times as much.
const MOST_BYTES: u64 = 32 << 20;

/// A node that is sampled by hand.
struct Node {
    system: System,
    agent: RawAgent,
    rows: mix::Node,
    before: Option<Row>,
}

impl Node {
    async fn start() -> Self {
        let system = System::start(Options {
            interval: "1s".to_owned(),
            ..Options::one_node()
        });
        let mut system = system.unwrap();
        system.nodes[0].agent = None;
        let options = mix::Options {
            pods_per_node: Some(PODS),
            interval_ms: 1_000,
            start_unix_ms: TRACE_START_MS / 1_000 * 1_000,
            ..mix::Options::of(mix::Kind::C)
        };
        let rows = Mix::new(options).unwrap().node(0).unwrap();
        let addr = system.aggregator().unwrap().addr("grpc").unwrap();
        let ca = system.path("ingest-ca.pem");
        let token = "agent-token-of-node1";
        let connected = RawAgent::connect(addr, &ca, token, TRACE_START_MS).await;
        let mut agent = connected.unwrap();
        let mut hello = agent.hello_frame("node1", 1);
        hello.interval_ms = 1_000;
        agent.send(Kind::Hello(hello)).await;
        agent.receive().await.unwrap();
        Self {
            system,
            agent,
            rows,
            before: None,
        }
    }

    /// Samples one row and sends it; gives its tick.
    async fn send(&mut self) -> u64 {
        let row = self.rows.next_row().unwrap();
        let now_ms = row.tick_ms + 100;
        self.system.aggregator().unwrap().step(now_ms).unwrap();
        self.agent.set_clock(now_ms);
        let defines = row.new_defs.iter().map(|def| v1::Define {
            id: def.id.0,
            kind: def.kind as i32,
            parent: def.parent.map_or(0, |parent| parent.0),
            name: def.name.clone(),
            namespace: def.namespace.clone(),
            uid: def.uid.clone(),
            runtime_id: def.runtime_id.clone(),
            ..v1::Define::default()
        });
        self.agent.send_all(defines.map(Kind::Define)).await;
        let payload = row::encode(DENSE, self.before.as_ref().map(timed), timed(&row));
        let frame = v1::Row {
            seq: row.seq,
            base_seq: self.before.as_ref().map(|before| before.seq),
            tick: row.tick_ms,
            payload,
        };
        self.agent.send(Kind::Row(frame)).await;
        let tick_ms = row.tick_ms;
        self.before = Some(row);
        tick_ms
    }

    /// Waits until a program that asks for the newest value is told that of this tick.
    fn is_shown(&self, tick_ms: u64, within: Duration) -> bool {
        let time = testkit::rfc3339::format(tick_ms);
        let path =
            format!("/api/cairn/v1/range?metric=cpu_usage_core_nanos&kind=node&start={time}");
        let shown = Deadline::after(within).poll(|| {
            let answer = self.system.json(&path).ok()?;
            let series = answer["series"].as_array()?.first()?;
            series["values"].as_array()?.last()?.as_u64()
        });
        shown.is_some()
    }

    /// Sends rows one by one, and counts at each acknowledgement, at the first look, those that a program is
    /// shown of all.
    async fn seen_at_acks(&mut self) -> Vec<usize> {
        let (mut sent, mut seen) = (Vec::new(), Vec::new());
        for _ in 0..ACKED {
            sent.push(self.send().await);
            let seq = self.before.as_ref().map(|row| row.seq);
            let acked = timeout(ACKED_WITHIN, async {
                loop {
                    let answer = self.agent.receive().await.unwrap();
                    if matches!(answer, Some(Answer::Ack(ack)) if Some(ack.seq) == seq) {
                        break;
                    }
                }
            });
            let acked = acked.await.is_ok();
            assert!(
                acked,
                "row {seq:?} is not acknowledged:\n{}",
                self.system.stderr()
            );
            seen.push(self.shown_since(sent[0]));
        }
        seen
    }

    /// How many rows from this tick on a program is told that asks once.
    fn shown_since(&self, tick_ms: u64) -> usize {
        let time = testkit::rfc3339::format(tick_ms);
        let path =
            format!("/api/cairn/v1/range?metric=cpu_usage_core_nanos&kind=node&start={time}");
        let answer = self.system.json(&path).unwrap();
        let values = answer["series"][0]["values"].as_array();
        let values = values.into_iter().flatten();
        values.filter(|value| value.is_u64()).count()
    }

    fn http(&self) -> SocketAddr {
        self.system.aggregator().unwrap().addr("http").unwrap()
    }

    /// Resident memory of the aggregator, bytes.
    fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.system.aggregator().unwrap().id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        kib.parse::<u64>().unwrap() * 1_024
    }
}

fn timed(row: &Row) -> Timed<'_> {
    Timed {
        tick_ms: row.tick_ms,
        snapshot: &row.snapshot,
    }
}

/// A client over plain TCP that asks for everything and reads one byte when it is told.
struct Slow(TcpStream);

impl Slow {
    fn ask(addr: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let request = format!(
            "GET /api/cairn/v1/range?kind=container&metric=cpu_usage_core_nanos HTTP/1.1\r\n\
             Host: {addr}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        Self(stream)
    }

    fn read_a_byte(&mut self) {
        self.0.read_exact(&mut [0]).unwrap();
    }

    /// Reads a byte each second, in a thread of its own, until the end is told; gives how many.
    fn read_on(mut self, end: Arc<AtomicBool>) -> JoinHandle<u64> {
        thread::spawn(move || {
            let mut read = 0;
            while !end.load(Ordering::Relaxed) {
                self.read_a_byte();
                read += 1;
                let _: Option<()> = Deadline::after(A_BYTE).poll(|| None);
            }
            read
        })
    }
}

/// Scenario: 48 clients ask for 13 minutes of every container, by JSON, of which they read a byte a second,
/// and by gRPC, of which they read the first message, while 30 rows come.
/// Guarantees: each row is acknowledged in time, and at that as many rows are shown as without readers, all of them; each
/// is shown at once, and the aggregator grows by no more than a part of what their answers come to. When all 64
/// places are taken, the next client of either kind is told so at once, and when they are left, it is served.
#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_of_huge_ranges_delay_no_row() {
    let mut node = Node::start().await;
    let mut newest = 0;
    for _ in 0..ROWS {
        newest = node.send().await;
    }
    assert!(node.is_shown(newest, Duration::from_secs(30)));
    let alone = node.seen_at_acks().await;
    assert_eq!(alone, (1..=ACKED).collect::<Vec<_>>());
    let answer = node.system.get(WHOLE).unwrap().body.len() as u64;
    let before = node.memory();
    let end = Arc::new(AtomicBool::new(false));
    let slow = (0..SLOW).map(|_| Slow::ask(node.http()).read_on(Arc::clone(&end)));
    let slow: Vec<JoinHandle<u64>> = slow.collect();
    let mut readers = Vec::new();
    for _ in 0..SLOW {
        readers.push(begin(node.http()).await.unwrap());
    }
    assert_eq!(node.seen_at_acks().await, alone, "{}", node.system.stderr());
    for _ in 0..MORE {
        let tick_ms = node.send().await;
        assert!(node.is_shown(tick_ms, AT_ONCE), "{}", node.system.stderr());
    }
    let grown = node.memory().saturating_sub(before);
    assert!(
        grown < MOST_BYTES && answer * SLOW as u64 > MOST_BYTES,
        "{grown} bytes for {SLOW} answers of {answer} bytes"
    );
    let rest = refuses_one_too_many(&node).await;
    end.store(true, Ordering::Relaxed);
    for reading in slow {
        // They read all the while.
        assert!(reading.join().unwrap() >= ACKED as u64 / 2);
    }
    drop((readers, rest));
    let served = Deadline::after(SOON).poll(|| {
        let answer = node.system.get(WHOLE).ok()?;
        (answer.status == 200).then_some(())
    });
    assert!(served.is_some(), "places come back");
}

/// Fills the places that are left, and asks for one more, by JSON and by gRPC: both are told what it
/// is, and are counted.
async fn refuses_one_too_many(node: &Node) -> Vec<(Reader, Streaming<v1::RangeResponse>)> {
    let mut rest = Vec::new();
    // Of the answers by JSON some may lie in the kernel's hands as a whole, and need no place.
    let refused = loop {
        match begin(node.http()).await {
            Ok(begun) => rest.push(begun),
            Err(refused) => break refused,
        }
        assert!(rest.len() + SLOW <= PLACES, "more than there are places");
    };
    assert!(rest.len() + 2 * SLOW >= PLACES, "{} places", rest.len());
    let status = refused.downcast_ref::<Status>().unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let answer = node.system.get(WHOLE).unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    for text in [status.message().to_owned(), answer.text()] {
        assert!(
            text.contains("too many answers are being read: try again"),
            "{text}"
        );
    }
    let counted = "cairn_aggregator_api_refused_readers_total";
    let aggregator = node.system.aggregator().unwrap();
    assert_eq!(System::count(aggregator, counted, "").unwrap(), 2);
    rest
}

/// A client of the service that asks for everything and reads its first answer.
async fn begin(addr: SocketAddr) -> anyhow::Result<(Reader, Streaming<v1::RangeResponse>)> {
    let mut reader = Reader::plain(addr).await?;
    let request = v1::RangeRequest {
        selector: Some(v1::Selector {
            kind: v1::EntityKind::Container.into(),
            ..v1::Selector::default()
        }),
        field: "cpu_usage_core_nanos".to_owned(),
        ..v1::RangeRequest::default()
    };
    let stream = reader.begin_range(request).await?;
    Ok((reader, stream))
}
