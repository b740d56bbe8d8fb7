//! Rows of generated nodes, as they travel.

use cairn_proto::codec::DENSE;
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::model::EntityDef;
use testkit::mix::{self, Fields, Kind, Options, Row};

/// One row as it travels.
pub(crate) struct Tick {
    pub(crate) tick_ms: u64,
    pub(crate) defs: Vec<EntityDef>,
    pub(crate) samples: usize,
    pub(crate) payload: Vec<u8>,
}

/// What the rows are like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    pub(crate) kind: Kind,
    pub(crate) interval_ms: u64,
    /// Part of the pods that is replaced each minute.
    pub(crate) churn_per_minute: f64,
}

impl Mix {
    /// Mix C, every 10 s, no pod replaced.
    pub(crate) const STEADY: Mix = Mix {
        kind: Kind::C,
        interval_ms: 10_000,
        churn_per_minute: 0.0,
    };

    /// The kind of a letter; C of any other.
    pub(crate) fn kind(letter: &str) -> Kind {
        let all = [Kind::K, Kind::B];
        let found = all
            .into_iter()
            .find(|kind| letter == kind.letter().to_string());
        found.unwrap_or(Kind::C)
    }
}

/// So many rows of a node.
#[expect(
    clippy::unwrap_used,
    reason = "generated rows are good, or nothing is measured"
)]
pub(crate) fn of(index: usize, rows: usize, mix: Mix) -> Vec<Tick> {
    let options = Options {
        pods_per_node: Some(30),
        fields: Fields::Twenty,
        nodes: index + 1,
        interval_ms: mix.interval_ms,
        churn_per_minute: mix.churn_per_minute,
        ..Options::of(mix.kind)
    };
    let mut node = mix::Mix::new(options).unwrap().node(index).unwrap();
    let mut before: Option<Row> = None;
    let mut ticks = Vec::with_capacity(rows);
    for _ in 0..rows {
        let row = node.next_row().unwrap();
        let payload = row::encode(DENSE, before.as_ref().map(timed), timed(&row));
        ticks.push(Tick {
            tick_ms: row.tick_ms,
            defs: row.new_defs.clone(),
            samples: row.snapshot.sample_count(),
            payload,
        });
        before = Some(row);
    }
    ticks
}

fn timed(row: &Row) -> Timed<'_> {
    Timed {
        tick_ms: row.tick_ms,
        snapshot: &row.snapshot,
    }
}
