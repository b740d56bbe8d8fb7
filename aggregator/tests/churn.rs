//! What the window holds does not grow: 100,000 ticks of nodes on which everything comes and goes.
//!
//! One test in a process of its own, since it looks at the process's memory.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test: what cannot go on has failed"
)]

#[path = "churn/agent.rs"]
mod agent;
#[path = "churn/load.rs"]
mod load;

use std::fs;
use std::ops::Range;

use cairn_aggregator::store::{Door, Evicted, PackedStore, Selector};

use agent::{Agent, INTERVAL_MS, START, WINDOW_MS};

const TICKS: u64 = 100_000;

/// How often a node comes that stays for a third of that.
const GUEST_EVERY: u64 = 300;

/// What is held: nodes, rows, bytes, and entities that are found.
type Held = [u64; 4];

struct System {
    store: PackedStore,
    resident: Agent,
    guest: Option<Agent>,
}

impl System {
    fn tick(&mut self, n: u64) {
        let now_ms = START + n * INTERVAL_MS + 250;
        self.resident.tick(&self.store, n, now_ms);
        if n.is_multiple_of(GUEST_EVERY) {
            self.guest = Some(Agent::new(format!("guest-{}", n / GUEST_EVERY)));
        }
        if n % GUEST_EVERY < GUEST_EVERY / 3 {
            if let Some(guest) = &mut self.guest {
                guest.tick(&self.store, n, now_ms);
            }
        } else if let Some(mut guest) = self.guest.take() {
            guest.leave(&self.store, now_ms);
        }
        let evicted = self.store.evict(now_ms);
        let memory = Evicted {
            expired_rows: evicted.expired_rows,
            nodes: evicted.nodes,
            // Of agents whose clock is set back when they begin again.
            clock_rows: evicted.clock_rows,
            ..Evicted::default()
        };
        assert_eq!(evicted, memory, "tick {n}: nothing goes for memory");
    }

    fn most_of(&mut self, ticks: Range<u64>) -> Held {
        let mut most = Held::default();
        for n in ticks {
            self.tick(n);
            let size = self.store.size();
            let mut held = [size.nodes, size.rows, size.bytes, 0];
            if n.is_multiple_of(100) {
                held[3] = self.found();
            }
            most = std::array::from_fn(|at| most[at].max(held[at]));
        }
        most
    }

    fn found(&self) -> u64 {
        let all = [
            Selector::Nodes,
            Selector::Pods,
            Selector::AllContainers,
            Selector::AllParts,
        ];
        all.map(|selector| self.store.entities(&selector).len() as u64)
            .iter()
            .sum()
    }
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse().unwrap()
}

/// Guarantees: nodes, rows, bytes (names counted) and entities are after 100,000 ticks no more than
/// they were after the first few thousand, the process's memory is the same to within 4 MiB, and
/// no session is ever told that it broke the protocol.
#[test]
fn what_the_window_holds_does_not_grow_over_100_000_ticks_of_churn() {
    let mut system = System {
        store: PackedStore::new(WINDOW_MS, 0),
        resident: Agent::new("node1".to_owned()),
        guest: None,
    };
    system.most_of(0..2_000);
    let early = system.most_of(2_000..4_000);
    system.most_of(4_000..10_000);
    let early_kib = resident_kib();
    system.most_of(10_000..TICKS - 2_000);
    let late = system.most_of(TICKS - 2_000..TICKS);
    let late_kib = resident_kib();
    println!("nodes, rows, bytes, entities: {early:?}, {late:?}; KiB: {early_kib}, {late_kib}");
    // Where in their lives pods are when something happens differs by a few, and of the 100 KB that two
    // nodes take an open row more or less is some percent. A third of a byte a tick would be seen.
    for (early, late) in early.into_iter().zip(late) {
        assert!(late <= early + early / 4, "{late} after {early}");
    }
    assert!(
        late_kib <= early_kib + 4 * 1024,
        "{late_kib} KiB after {early_kib} KiB"
    );
}
