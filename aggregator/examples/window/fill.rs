//! A store with the window of some nodes, filled tick by tick as in operation.

use cairn_aggregator::store::{Door as _, Opening, PackedStore, Session, WireRow};
use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::{EntityDef, Run};

use super::say;
use super::ticks::{self, Mix, Tick};

/// The window that is asked for, and what the store keeps beyond it, ms.
const KEPT_MS: u64 = 1_000_000;

/// Nodes whose rows differ; the others have those of one of them.
const DIFFERENT: usize = 4;

/// Rows beyond a window, so that blocks were sealed, put together and dropped.
const FURTHER: usize = 60;

/// How long pods come and go, ms.
const CHURN_MS: u64 = 7_200_000;

/// What is held is printed so many times on the way there.
const LOOKS: usize = 8;

/// Fills a store and prints what became of it.
pub(crate) fn run(nodes: usize, mix: Mix) {
    let is_steady = mix.churn_per_minute == 0.0;
    let spans = KEPT_MS.max(if is_steady { 0 } else { CHURN_MS }) / mix.interval_ms;
    let rows = usize::try_from(spans).unwrap_or(0) + FURTHER;
    let templates = templates(nodes, rows, mix);
    let before = resident();
    let every = if is_steady {
        rows
    } else {
        rows.div_ceil(LOOKS)
    };
    let mut look = |nth, store: &PackedStore| {
        if nth % every == every - 1 && nth + 1 < rows {
            tell(nodes, store, resident() - before);
        }
    };
    let store = fill(&templates, nodes, mix.interval_ms, &mut named, &mut look);
    tell(nodes, &store, resident() - before);
}

fn tell(nodes: usize, store: &PackedStore, grown: u64) {
    let (size, parts) = (store.size(), store.parts());
    let a_sample = |bytes: u64| bytes as f64 / size.samples.max(1) as f64;
    say(&format!(
        "{nodes} nodes, {} rows, {} samples: resident {:.3}, counted {:.3} bytes a sample",
        size.rows,
        size.samples,
        a_sample(grown),
        a_sample(size.bytes)
    ));
    for (name, bytes) in parts.named() {
        let a_node = bytes as f64 / nodes.max(1) as f64;
        say(&format!(
            "  {name:<8} {:.3} a sample, {a_node:>9.0} a node",
            a_sample(bytes)
        ));
    }
}

/// Takes one window of rows in.
pub(crate) fn append(nodes: usize) {
    let interval_ms = Mix::STEADY.interval_ms;
    let rows = usize::try_from(KEPT_MS / interval_ms).unwrap_or(0) + FURTHER;
    let templates = [ticks::of(0, rows, Mix::STEADY)];
    let samples: usize = templates.iter().flatten().map(|tick| tick.samples).sum();
    let store = fill(&templates, nodes, interval_ms, &mut named, &mut |_, _| {});
    say(&format!(
        "{} samples taken, {} held",
        samples * nodes,
        store.size().samples
    ));
}

/// What is to be named before a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) defs: &'a [EntityDef],
    /// It is the first row.
    pub(crate) is_first: bool,
}

/// The rows of nodes that differ.
pub(crate) fn templates(nodes: usize, rows: usize, mix: Mix) -> Vec<Vec<Tick>> {
    let all = 0..DIFFERENT.min(nodes);
    all.map(|index| ticks::of(index, rows, mix)).collect()
}

/// Appends every tick to each of the nodes; their blocks begin at different ticks. `name` does what is
/// to be done with the names of each row, and `look` is shown the store after each tick.
#[inline(never)]
pub(crate) fn fill(
    templates: &[Vec<Tick>],
    nodes: usize,
    interval_ms: u64,
    name: &mut dyn FnMut(&PackedStore, &Session, Told<'_>),
    look: &mut dyn FnMut(usize, &PackedStore),
) -> PackedStore {
    let store = PackedStore::new(KEPT_MS, 0);
    let first = templates.first().and_then(|ticks| ticks.first());
    let Some(first_ms) = first.map(|tick| tick.tick_ms) else {
        return store;
    };
    let opening = Opening {
        run: Run {
            boot_id: [7; 16],
            epoch_ms: first_ms,
            clock_stepped: false,
        },
        interval_ms,
        sent_ms: first_ms,
        now_ms: first_ms,
    };
    let open = |node| store.open(&format!("node-{node:05}"), opening);
    let sessions: Vec<Session> = (0..nodes).map(open).collect();
    let rows = templates.iter().map(Vec::len).min().unwrap_or(0);
    for nth in 0..rows {
        for (node, session) in sessions.iter().enumerate() {
            let ticks = templates.get(node % templates.len());
            if let Some(tick) = ticks.and_then(|ticks| ticks.get(nth)) {
                let shift = node as u64 % BLOCK_ROWS;
                let told = Told {
                    defs: &tick.defs,
                    is_first: nth == 0,
                };
                name(&store, session, told);
                put(&store, session, tick, nth as u64 + shift, nth > 0);
            }
        }
        store.evict(first_ms + nth as u64 * interval_ms + 100);
        look(nth, &store);
    }
    store
}

fn named(store: &PackedStore, session: &Session, told: Told<'_>) {
    define(store, session, told.defs);
}

/// Names these things.
#[expect(
    clippy::unwrap_used,
    reason = "generated names are good, or nothing is measured"
)]
pub(crate) fn define(store: &PackedStore, session: &Session, defs: &[EntityDef]) {
    for def in defs {
        store.define(session, def.clone()).unwrap();
    }
}

#[expect(
    clippy::unwrap_used,
    reason = "generated rows are good, or nothing is measured"
)]
fn put(store: &PackedStore, session: &Session, tick: &Tick, seq: u64, has_base: bool) {
    let now_ms = tick.tick_ms + 100;
    let row = WireRow {
        seq,
        base_seq: has_base.then(|| seq - 1),
        tick_ms: tick.tick_ms,
        payload: &tick.payload,
        sent_ms: now_ms,
        now_ms,
    };
    store.append(session, row).unwrap();
}

/// Bytes of this process that are in memory.
#[expect(clippy::unwrap_used, reason = "Linux says it, or nothing is measured")]
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line.unwrap().trim_end_matches("kB").trim().parse().unwrap();
    kib * 1024
}
