//! What names cost: to give them, and to find a thing by what it is called.

use std::time::Duration;

use cairn_aggregator::store::{Door as _, Entity, PackedStore, Selector, Session};
use cairn_proto::catalogue::table;
use tokio::time::Instant;

use super::fill::{self, Told};
use super::say;
use super::ticks::Mix;

/// Ticks of a window, so that as many names are known as in operation.
const ROWS: usize = 100;

/// Everything is looked up so often; the quickest time counts.
const TURNS: usize = 5;

/// Names the things of so many nodes, and looks each up.
pub(crate) fn run(nodes: usize, mix: Mix) {
    let templates = fill::templates(nodes, ROWS, mix);
    let (mut first, mut later) = (Named::default(), Named::default());
    let mut define = |store: &PackedStore, session: &Session, told: Told<'_>| {
        let named = if told.is_first {
            &mut first
        } else {
            &mut later
        };
        let (start, count) = (Instant::now(), told.defs.len());
        fill::define(store, session, told.defs);
        named.took += start.elapsed();
        named.count += count;
    };
    let store = fill::fill(
        &templates,
        nodes,
        mix.interval_ms,
        &mut define,
        &mut |_, _| {},
    );
    let names = store.parts().names as f64 / nodes.max(1) as f64;
    say(&format!("{nodes} nodes, names {names:.0} bytes a node"));
    first.tell("named with the first row");
    later.tell("named later");
    let selectors = [Selector::Pods, Selector::AllContainers];
    let found = selectors.iter().flat_map(|one| store.entities(one));
    let mut found: Vec<Entity> = found.collect();
    // In no order that memory would be in.
    found.sort_by_key(|entity| {
        let path = format!("{:?}{}", entity.path, entity.node);
        path.bytes().fold(7_u64, |sum, byte| {
            sum.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
        })
    });
    let mut quickest = Duration::MAX;
    for _ in 0..TURNS {
        let start = Instant::now();
        for entity in &found {
            // No row has this tick: nothing but the name is looked up.
            store.visit(&[entity], table::CPU, (1, 1), &mut |_, _| {});
        }
        quickest = quickest.min(start.elapsed());
    }
    let found = Named {
        took: quickest,
        count: found.len(),
    };
    found.tell("found by path");
}

#[derive(Default)]
struct Named {
    took: Duration,
    count: usize,
}

impl Named {
    fn tell(&self, what: &str) {
        let each = self.took.as_nanos() as f64 / self.count.max(1) as f64;
        say(&format!("{} {what}: {each:.0} ns each", self.count));
    }
}
