//! Rows of generated nodes, as they travel.

use cairn_proto::codec::DENSE;
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::model::EntityDef;
use testkit::mix::{Fields, Kind, Mix, Options, Row};

/// One row as it travels.
pub(crate) struct Tick {
    pub(crate) tick_ms: u64,
    pub(crate) defs: Vec<EntityDef>,
    pub(crate) samples: usize,
    pub(crate) payload: Vec<u8>,
}

/// So many rows of a generated node.
#[expect(
    clippy::unwrap_used,
    reason = "generated rows are good, or nothing is measured"
)]
pub(crate) fn of(index: usize, rows: usize, interval_ms: u64) -> Vec<Tick> {
    let options = Options {
        pods_per_node: Some(30),
        fields: Fields::Twenty,
        nodes: index + 1,
        interval_ms,
        ..Options::of(Kind::C)
    };
    let mut node = Mix::new(options).unwrap().node(index).unwrap();
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
