//! Prints the frames of an agent that is older or newer than this version, one a line: a word and the
//! frame in hexadecimal. `tests/fixtures/frames/ORIGIN.md` says what of it is where.
//!
//! They are put together byte by byte: what this version's messages look like does not change them.

use std::process::ExitCode;

use cairn_proto::catalogue::{FieldId, table};
use cairn_proto::codec::chunk::{self, RowOf};
use cairn_proto::codec::{DENSE, PLAIN, row};
use cairn_proto::model::{EntityId, Snapshot};
use testkit::peer;

const TICK: u64 = 1_795_332_330_000;
const INTERVAL: u64 = 10_000;

/// A message that is being written.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, mut number: u64) -> Self {
        while number > 0x7f {
            self.0
                .push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
            number >>= 7;
        }
        self.0.push(u8::try_from(number).unwrap_or_default());
        self
    }

    fn number(self, field: u64, number: u64) -> Self {
        self.varint(field << 3).varint(number)
    }

    fn bytes(self, field: u64, bytes: &[u8]) -> Self {
        let mut out = self.varint(field << 3 | 2).varint(bytes.len() as u64);
        out.0.extend_from_slice(bytes);
        out
    }

    fn message(self, field: u64, message: &Message) -> Self {
        self.bytes(field, &message.0)
    }
}

fn new() -> Message {
    Message::default()
}

/// A frame of a kind.
fn frame(kind: u64, message: &Message) -> Message {
    new().number(1, TICK + 500).message(kind, message)
}

fn snapshot(more: &[(EntityId, FieldId)]) -> Snapshot {
    let mut builder = peer::one_value(TICK);
    for (entity, field) in more {
        builder.value(*entity, *field, 5);
    }
    builder.build()
}

/// The run of the agents.
fn run() -> Message {
    new().bytes(1, &[7; 16]).number(2, 1)
}

/// Names the node.
fn node() -> Message {
    new().number(1, 1).number(2, 1).bytes(4, b"guest")
}

fn older_hello() -> Message {
    new()
        .bytes(1, b"guest")
        .bytes(2, b"0.0.1")
        .bytes(3, &[1])
        .bytes(4, &[1])
        .number(6, INTERVAL)
        .number(7, TICK + 500)
        .message(8, &run())
}

/// Before catalogues had versions, rings told how far they reach, and the dense codec.
fn older() -> Vec<(&'static str, Message)> {
    let payload = row::keyframe(PLAIN, TICK, &snapshot(&[]));
    let row = new().number(3, TICK).bytes(4, &payload);
    let source = new().bytes(1, b"summary").number(2, 1);
    vec![
        ("hello", frame(2, &older_hello())),
        ("define", frame(3, &node())),
        ("source_status", frame(7, &source)),
        ("row", frame(4, &row)),
        ("bye", frame(10, &new())),
    ]
}

/// With fields that nobody knows yet.
fn unknown(message: Message) -> Message {
    message.bytes(50, b"later").number(51, 5)
}

fn newer_hello() -> Message {
    unknown(new())
        .bytes(1, b"guest")
        .bytes(2, b"9.0.0")
        .bytes(3, &[9, 2, 1])
        .bytes(4, &[9, 2, 1])
        .number(5, 99)
        .number(6, INTERVAL)
        .number(7, TICK + 500)
        .message(8, &unknown(run()))
}

/// Names a thing of a kind that nobody knows yet.
fn thing() -> Message {
    new()
        .number(1, 2)
        .number(2, 77)
        .number(3, 1)
        .bytes(4, b"thing")
}

/// Columns that nobody knows yet, and of that thing.
const NEWER_COLUMNS: [(EntityId, FieldId); 2] = [
    (EntityId(1), FieldId(9_999)),
    (EntityId(2), table::MEMORY_USAGE),
];

/// With fields, kinds of frames, of entities, states and columns that nobody knows yet.
fn newer() -> Vec<(&'static str, Message)> {
    let payload = row::keyframe(DENSE, TICK, &snapshot(&NEWER_COLUMNS));
    let row = unknown(new().number(3, TICK).bytes(4, &payload));
    let source = unknown(new().bytes(1, b"summary").number(2, 77));
    let resolve = unknown(new().bytes(1, b"containerd://1"));
    let gap = unknown(
        new()
            .message(1, &unknown(run()))
            .number(2, 16)
            .number(3, 31)
            .number(4, 77),
    );
    vec![
        ("hello", frame(2, &newer_hello()).number(40, 1)),
        ("define", frame(3, &unknown(node()))),
        ("define_of_an_unknown_kind", frame(3, &thing())),
        ("unknown", frame(99, &unknown(new()))),
        ("source_status", frame(7, &source)),
        ("resolve", frame(8, &resolve)),
        ("row", unknown(frame(4, &row))),
        ("gap", frame(6, &gap)),
        ("bye", frame(10, &unknown(new()))),
    ]
}

/// Rows that were sampled before the stream began, the last two of a block.
fn past(codec: u32, more: &[(EntityId, FieldId)]) -> Vec<u8> {
    let snapshot = snapshot(more);
    let row = |offset: u8, ago: u64| RowOf {
        offset: offset.into(),
        tick: TICK - ago * INTERVAL,
        snapshot: &snapshot,
    };
    chunk::encode(codec, &[row(14, 2), row(15, 1)])
}

/// An agent from its second block on, which is asked for its first.
fn with_past(
    hello: &Message,
    define: &[Message],
    row: &[u8],
    past: (u64, &[u8]),
    of_all: impl Fn(Message) -> Message,
) -> Vec<(&'static str, Message)> {
    let run = of_all(run());
    let row = of_all(new().number(1, 16).number(3, TICK).bytes(4, row));
    let (codec, payload) = past;
    // The first block; zero is not written.
    let chunk = of_all(new().message(1, &run).number(3, codec).bytes(4, payload));
    let mut frames = vec![("hello", frame(2, hello))];
    frames.extend(define.iter().map(|define| ("define", frame(3, define))));
    frames.push(("row", frame(4, &row)));
    frames.push(("chunk", frame(5, &chunk)));
    frames.push(("bye", frame(10, &of_all(new()))));
    frames
}

fn older_past() -> Vec<(&'static str, Message)> {
    let row = row::keyframe(PLAIN, TICK, &snapshot(&[]));
    let past = past(PLAIN, &[]);
    let define = [node()];
    with_past(&older_hello(), &define, &row, (1, &past), |message| message)
}

fn newer_past() -> Vec<(&'static str, Message)> {
    let hello = newer_hello().number(10, 16);
    let row = row::keyframe(DENSE, TICK, &snapshot(&NEWER_COLUMNS));
    let past = past(DENSE, &NEWER_COLUMNS);
    let define = [unknown(node()), thing()];
    with_past(&hello, &define, &row, (2, &past), unknown)
}

/// The run that the recordings of aggregators speak of; a test puts an agent's in its place.
fn any_run() -> Message {
    new().bytes(1, &[7; 16]).number(2, TICK)
}

fn range(run: &Message, first: u64, last: u64) -> Message {
    // Zero is not written.
    let ends = [(2, first), (3, last)]
        .into_iter()
        .filter(|(_, block)| *block > 0);
    ends.fold(new().message(1, run), |message, (field, block)| {
        message.number(field, block)
    })
}

/// What an aggregator says: `Welcome`, then of rows 0 and 1, then goodbye.
fn aggregator(
    welcome: &Message,
    run: &Message,
    of_all: impl Fn(Message) -> Message,
    more: Vec<(&'static str, Message)>,
) -> Vec<(&'static str, Message)> {
    let ack = of_all(new().message(1, run).number(2, 1));
    let name = of_all(
        new()
            .bytes(1, b"containerd://1")
            .bytes(2, b"uid")
            .bytes(3, b"web"),
    );
    let other = new().bytes(1, &[8; 16]).number(2, 5);
    let drain = of_all(new().number(1, 60_000).bytes(2, b"shutdown"));
    let mut frames = vec![
        ("welcome", new().message(1, welcome)),
        ("ack", new().message(4, &ack)),
        ("want", new().message(2, &of_all(range(run, 0, 0)))),
        (
            "want_of_another_run",
            new().message(2, &of_all(range(&other, 1, 1))),
        ),
        ("names", new().message(3, &of_all(new().message(1, &name)))),
    ];
    frames.extend(more);
    frames.push(("drain", new().message(5, &drain)));
    frames
}

/// Before catalogues had versions and the dense codec.
fn older_aggregator() -> Vec<(&'static str, Message)> {
    let welcome = new()
        .bytes(1, b"older")
        .number(2, 1)
        .bytes(3, &[1])
        .number(5, TICK);
    aggregator(&welcome, &any_run(), |message| message, Vec::new())
}

fn current_aggregator() -> Vec<(&'static str, Message)> {
    let welcome = new()
        .bytes(1, b"current")
        .number(2, 2)
        .bytes(3, &[2, 1])
        .number(4, 2)
        .number(5, TICK);
    aggregator(&welcome, &any_run(), |message| message, Vec::new())
}

/// With fields and kinds of frames that nobody knows yet.
fn newer_aggregator() -> Vec<(&'static str, Message)> {
    let welcome = new()
        .bytes(1, b"newer")
        .number(2, 2)
        .bytes(3, &[9, 2, 1])
        .number(4, 99)
        .number(5, TICK);
    let more = vec![("unknown", new().message(99, &unknown(new())))];
    aggregator(&unknown(welcome), &unknown(any_run()), unknown, more)
}

#[expect(clippy::print_stdout, reason = "its output is the file")]
fn main() -> ExitCode {
    let frames = match std::env::args().nth(1).as_deref() {
        Some("older") => older(),
        Some("newer") => newer(),
        Some("older-past") => older_past(),
        Some("newer-past") => newer_past(),
        Some("aggregator-older") => older_aggregator(),
        Some("aggregator-current") => current_aggregator(),
        Some("aggregator-newer") => newer_aggregator(),
        _ => return ExitCode::FAILURE,
    };
    for (name, Message(bytes)) in frames {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        println!("{name} {hex}");
    }
    ExitCode::SUCCESS
}
