//! Listeners under attack: whoever is honest is answered, attackers are ended and counted, and memory stays
//! what it was.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use testkit::deadline::Deadline;
use testkit::http1;
use testkit::machine;
use testkit::proc::Proc;
use testkit::raw::RawAgent;
use testkit::siege::{self, Siege, Target};
use testkit::system::{Options, System, at};
use tokio::runtime::Runtime;

const MIB: u64 = 1 << 20;

/// Longer than the longest deadline of a listener, that of a first request at HTTPS, and twice that for a
/// busy machine.
const ENDED_WITHIN: Duration = Duration::from_secs(240);

/// How long an honest question may take while two processors are shared with all attackers.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);

/// What a crowd may cost, bytes: a connection that rests is some KiB.
const CROWD_BYTES: u64 = 256 * MIB;

/// What attackers may cost an aggregator and an agent, bytes.
const AGGREGATOR_BYTES: u64 = 96 * MIB;
const AGENT_BYTES: u64 = 24 * MIB;

/// Two sieges at once would be one of this machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The stranger that is honest at the gRPC listener.
const GUEST: &str = "guest";

struct Bed {
    system: System,
    runtime: Runtime,
    before: (u64, u64),
    rounds: u64,
}

impl Bed {
    fn start() -> Self {
        let options = Options {
            guests: vec![GUEST.to_owned()],
            ..Options::one_node()
        };
        let mut bed = Self {
            system: System::start(options).unwrap(),
            runtime: Runtime::new().unwrap(),
            before: (0, 0),
            rounds: 0,
        };
        bed.round();
        bed.before = bed.resident();
        bed
    }

    fn aggregator(&self) -> &Proc {
        self.system.aggregator().unwrap()
    }

    fn agent(&self) -> &Proc {
        self.system.nodes[0].agent.as_ref().unwrap()
    }

    fn targets(&self) -> Vec<Target> {
        let ca = Some(self.system.path("ingest-ca.pem"));
        let of = |name: &'static str, ca| Target {
            name,
            addr: self.aggregator().addr(name).unwrap(),
            ca,
            http2: true,
        };
        vec![
            of("http", None),
            of("https", ca.clone()),
            of("grpc", ca),
            of("admin", None),
            Target {
                name: "agent",
                addr: self.agent().addr("admin").unwrap(),
                ca: None,
                http2: false,
            },
        ]
    }

    fn resident(&self) -> (u64, u64) {
        let of = |process: &Proc| siege::resident_bytes(process.id()).unwrap();
        (of(self.aggregator()), of(self.agent()))
    }

    /// Asks at each listener on a connection of its own, and lets the agent bring a row.
    fn round(&mut self) {
        for target in self.targets() {
            let asked = match (&target.ca, target.name) {
                (Some(ca), "https") => http1::Target::tls(target.addr, "localhost", ca).unwrap(),
                (Some(_), _) => continue,
                (None, _) => http1::Target::plain(target.addr),
            };
            let path = if target.name == "http" {
                "/api/v1/model/nodes/"
            } else {
                "/livez"
            };
            let mut last = None;
            let good = Deadline::after(ANSWERED_WITHIN).poll(|| {
                let answer = asked.clone().within(ANSWERED_WITHIN).get(path);
                let is_good = answer.as_ref().is_ok_and(|answer| answer.status == 200);
                last = Some(answer);
                is_good.then_some(())
            });
            assert!(good.is_some(), "{}: {last:?}", target.name);
        }
        self.guest();
        self.system.step(at(self.rounds)).unwrap();
        self.system
            .arrived(at(self.rounds), ANSWERED_WITHIN)
            .unwrap();
        self.rounds += 1;
    }

    /// A stream of another agent begins.
    fn guest(&self) {
        let addr = self.aggregator().addr("grpc").unwrap();
        let ca = self.system.path("ingest-ca.pem");
        let token = format!("agent-token-of-{GUEST}");
        let epoch_ms = self.rounds + 1;
        let mut last = None;
        let welcomed = Deadline::after(ANSWERED_WITHIN).poll(|| {
            let begun = self.runtime.block_on(async {
                let mut agent = RawAgent::connect(addr, &ca, &token, at(self.rounds)).await?;
                agent.hello(GUEST, epoch_ms).await
            });
            let is_good = begun.is_ok();
            last = Some(begun);
            is_good.then_some(())
        });
        assert!(welcomed.is_some(), "grpc: {last:?}");
    }

    #[expect(clippy::print_stdout, reason = "how much it was")]
    fn stays_small(&self, aggregator: u64, agent: u64) {
        let (now, before) = (self.resident(), self.before);
        let grown = (
            now.0.saturating_sub(before.0),
            now.1.saturating_sub(before.1),
        );
        println!("grown by {} and {} KiB", grown.0 / 1024, grown.1 / 1024);
        assert!(
            grown.0 < aggregator && grown.1 < agent,
            "{before:?} {now:?}"
        );
    }

    fn figure(&self, name: &str, labels: &str) -> u64 {
        System::of_aggregator(self.aggregator(), &format!("listener_{name}"), labels).unwrap()
    }
}

/// A second between two rounds, so that a node's streams stay within what one may open.
fn rest() {
    assert_eq!(
        Deadline::after(Duration::from_secs(1)).poll(|| None::<()>),
        None
    );
}

/// Scenario: at every listener of an aggregator and of an agent two attackers of each kind at once: heads
/// and handshakes without end, heads and bodies that are too much, clients that read nothing, floods of
/// each kind of frame of HTTP/2.
/// Guarantees: new honest connections to each listener are answered at every moment and every row of the
/// agent arrives; every kind of attacker is ended at every listener, and counted by reason; neither process
/// grows by more than a bound.
#[test]
fn attackers_are_ended_and_everybody_else_is_answered() {
    let _alone = alone();
    let mut bed = Bed::start();
    let siege = Siege::begin(&bed.targets(), 2).unwrap();
    let within = Deadline::after(ENDED_WITHIN);
    while !siege.unended().is_empty() {
        assert!(within.left().is_some(), "{:?}", siege.unended());
        bed.round();
        bed.stays_small(AGGREGATOR_BYTES, AGENT_BYTES);
        rest();
    }
    for (which, told) in siege.told() {
        println!("{which:?}: {told:?}");
    }
    println!("{} rounds of honest questions", bed.rounds);
    for listener in ["http", "https", "grpc", "admin"] {
        let of = |name: &str, reason: &str| {
            let labels = format!("listener=\"{listener}\",reason=\"{reason}\"");
            assert!(bed.figure(name, &labels) > 0, "{name} {labels}");
        };
        of("refused_connections_total", "header_timeout");
        of("closed_connections_total", "malformed");
    }
    for listener in ["https", "grpc"] {
        let labels = format!("listener=\"{listener}\",reason=\"handshake_timeout\"");
        assert!(bed.figure("refused_connections_total", &labels) > 0);
    }
    let stalled = "listener=\"http\",reason=\"stalled\"";
    assert!(bed.figure("closed_connections_total", stalled) > 0);
    drop(siege);
    bed.round();
}

/// Scenario: 10,000 connections at once that say nothing, or asked once, more than the HTTP and the admin
/// listener have places for.
/// Guarantees: new honest connections to each listener are answered meanwhile, since those that rest make
/// room, and are counted; memory is bounded.
#[test]
fn ten_thousand_idle_connections_keep_nobody_out() {
    const WANTED: u64 = 12_000;
    let _alone = alone();
    let files = siege::raise_descriptors(WANTED);
    let part = |count: u64| usize::try_from(count * files.min(WANTED) / WANTED).unwrap();
    if files < WANTED {
        machine::lacks(&format!(
            "a part of 10,000 connections: only {files} open files are allowed here, and {WANTED} are needed"
        ));
    }
    let mut bed = Bed::start();
    let mut crowd = Vec::new();
    for target in bed.targets() {
        let count = match target.name {
            "http" => part(4_500),
            "https" => part(2_800),
            "grpc" => part(2_600),
            _ => 100,
        };
        let mut idle = siege::idle(target.addr, count).unwrap();
        if target.name == "http" {
            ask_once(&mut idle);
        }
        crowd.extend(idle);
        println!("{count} at {}", target.name);
        bed.round();
    }
    for _ in 0..5 {
        bed.round();
        bed.stays_small(CROWD_BYTES, AGENT_BYTES);
        rest();
    }
    println!("{} connections were made", crowd.len());
    let refused = bed.figure("refused_connections_total", "handshake_timeout");
    assert!(refused > 0);
    let displaced = |listener: &str| {
        let labels = format!("listener=\"{listener}\",reason=\"displaced\"");
        bed.figure("closed_connections_total", &labels)
    };
    assert!(displaced("admin") > 0);
    assert!(files < WANTED || displaced("http") > 0);
    drop(crowd);
}

/// Guarantees: what comes compressed is not unpacked, whatever it says it is: a call is refused, and a body
/// is taken as the bytes that it has.
#[test]
fn nothing_that_comes_is_unpacked() {
    let _alone = alone();
    let bed = Bed::start();
    let bomb = bomb();
    let http = http1::Target::plain(bed.aggregator().addr("http").unwrap());
    let call = http
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-encoding", "gzip");
    let length = u32::try_from(bomb.len()).unwrap().to_be_bytes();
    let message = [&[1], &length[..], &bomb[..]].concat();
    let answer = call.post("/cairn.v1.Query/Latest", &message).unwrap();
    assert_eq!(answer.header("grpc-status"), Some("12"), "{answer:?}");
    for process in [bed.aggregator(), bed.agent()] {
        let admin = http1::Target::plain(process.addr("admin").unwrap());
        let step = admin.header("content-encoding", "gzip");
        let answer = step.post("/debug/clock", &bomb[..1_000]).unwrap();
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    bed.stays_small(AGGREGATOR_BYTES / 4, AGENT_BYTES / 4);
}

/// 64 MiB of nothing, compressed.
fn bomb() -> Vec<u8> {
    use std::io::Write as _;
    let best = flate2::Compression::best();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), best);
    encoder.write_all(&vec![0; 64 << 20]).unwrap();
    encoder.finish().unwrap()
}

/// Every second one asks once, and does not read what it is answered.
fn ask_once(idle: &mut [std::net::TcpStream]) {
    use std::io::Write as _;
    for stream in idle.iter_mut().step_by(2) {
        // It may have had to make room already.
        drop(stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    }
}
