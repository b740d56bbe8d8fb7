//! The series of a name against a model that goes through all lives and all rows at each tick.

use std::sync::Arc;

use cairn_proto::catalogue::{EntityKind, Field, Group, table};
use cairn_proto::codec::{DENSE, row};
use cairn_proto::model::{Builder, EntityDef, EntityId, Run};
use proptest::collection::vec;
use proptest::prelude::*;

use super::grid::{Said, distances, point, said, sample_at};
use crate::query::{Bounds, Named, Sample, View};
use crate::store::{Applied, Door, Opening, PackedStore, RawRow, Selector, WireRow};

const T0: u64 = 1_795_332_330_000;
const INTERVAL_MS: u64 = 10_000;
const WINDOW_MS: u64 = 900_000;

/// One row of a node: how many intervals after the one before, and what it says of each life.
type NodeRow = (u64, [Said; 3]);

/// One life of the name: where it is reported, when it began, and how all its node's rows see it.
#[derive(Clone, Debug)]
struct Life {
    node: usize,
    start_ms: u64,
    rows: Vec<RawRow>,
}

impl Life {
    fn there(&self) -> impl Iterator<Item = u64> {
        self.rows.iter().filter(|r| r.present).map(|r| r.tick_ms)
    }

    /// True when it was seen by then.
    fn has_begun(&self, tick_ms: u64) -> bool {
        self.there().any(|seen| seen <= tick_ms)
    }

    /// True when its node knew it then, and will be known to have known it: the node's rows go on.
    fn is_alive(&self, tick_ms: u64) -> bool {
        let before = self.rows.iter().rfind(|row| row.tick_ms <= tick_ms);
        before.is_some_and(|row| row.present) && self.there().any(|seen| seen >= tick_ms)
    }
}

/// What a name says at a tick: of the lives that are alive then the one that began last speaks, and
/// with none alive the one that began last before.
fn model(field: &Field, lives: &[Life], tick_ms: u64) -> Option<Sample> {
    let newest = |lives: Vec<&Life>| {
        let newest = lives.into_iter().max_by_key(|life| life.start_ms);
        newest.cloned()
    };
    let alive = lives.iter().filter(|life| life.is_alive(tick_ms)).collect();
    let begun = lives
        .iter()
        .filter(|life| life.has_begun(tick_ms))
        .collect();
    let life = newest(alive).or_else(|| newest(begun))?;
    sample_at(field, &life.rows, tick_ms)
}

/// Three lives of one pod name, on up to three nodes, in whose rows they come and go.
fn lives() -> impl Strategy<Value = Vec<Life>> {
    let node = || vec((distances(), [said(), said(), said()]), 0..20);
    let nodes = [node(), node(), node()];
    // Most lives are over, or not yet begun, for a part of their node's rows.
    let span = || (0_usize..12, 1_usize..20);
    let at = [0_usize..3, 0_usize..3, 0_usize..3];
    (nodes, at, [span(), span(), span()]).prop_map(|(nodes, at, spans)| {
        let life = |n: usize| Life {
            node: at[n],
            start_ms: T0 - 50_000 + n as u64 * 7_000,
            rows: rows_of(&nodes[at[n]], n, spans[n]),
        };
        (0..3).map(life).collect()
    })
}

/// The rows of a node as one life sees them; it is there for some of them.
fn rows_of(node: &[NodeRow], life: usize, (from, count): (usize, usize)) -> Vec<RawRow> {
    let start_ms = T0 - 50_000 + life as u64 * 7_000;
    let (mut tick_ms, mut value) = (T0, 1_000_000 * life as u64);
    let mut rows = Vec::new();
    for (n, (distance, said)) in node.iter().enumerate() {
        tick_ms += distance * INTERVAL_MS;
        let lives = (from..from + count).contains(&n) && !matches!(said[life], Said::Gone);
        let measured = match said[life] {
            Said::Value(age_ms, grown) if lives => {
                value += grown;
                Some(point(tick_ms, age_ms, value, start_ms))
            }
            _ => None,
        };
        rows.push(RawRow {
            tick_ms,
            present: lives,
            point: measured,
            began: None,
            interrupted: false,
        });
    }
    rows
}

fn def(id: u32, kind: EntityKind, name: &str) -> EntityDef {
    let pod = kind == EntityKind::Pod;
    EntityDef {
        id: EntityId(id),
        kind,
        parent: pod.then_some(EntityId(0)),
        name: name.into(),
        namespace: if pod { "shop".into() } else { String::new() },
        uid: if pod {
            format!("uid-{id}")
        } else {
            String::new()
        },
        runtime_id: String::new(),
        labels: Vec::new(),
    }
}

/// Sends everything through the door, as the nodes' agents would.
fn store(lives: &[Life]) -> Arc<dyn Door> {
    let store = PackedStore::new(WINDOW_MS, 0);
    for node in 0..3 {
        let name = format!("node{node}");
        let here = || lives.iter().zip(1..).filter(|(life, _)| life.node == node);
        let run = Run {
            epoch_ms: 1,
            boot_id: [1; 16],
            clock_stepped: false,
        };
        let session = store.open(
            &name,
            Opening {
                run,
                interval_ms: INTERVAL_MS,
                sent_ms: T0,
                now_ms: T0,
            },
        );
        store
            .define(&session, def(0, EntityKind::Node, &name))
            .unwrap();
        for (_, id) in here() {
            store
                .define(&session, def(id, EntityKind::Pod, "web-0"))
                .unwrap();
        }
        let count = here().next().map_or(0, |(life, _)| life.rows.len());
        for seq in 0..count {
            let mut builder = Builder::default();
            builder.entity(EntityId(0));
            let mut tick_ms = 0;
            for (life, id) in here() {
                let seen = life.rows[seq];
                tick_ms = seen.tick_ms;
                if seen.present {
                    // Another group tells the start also where this one has no value.
                    let told = point(tick_ms, 0, 0, life.start_ms).stamp;
                    builder
                        .entity(EntityId(id))
                        .stamp(EntityId(id), Group::Memory, told);
                }
                if let Some(point) = seen.point {
                    builder.value(EntityId(id), table::CPU, point.value);
                    builder.stamp(EntityId(id), Group::Cpu, point.stamp);
                }
            }
            let payload = row::keyframe(DENSE, tick_ms, &builder.build());
            let wire = WireRow {
                seq: seq as u64,
                base_seq: None,
                tick_ms,
                payload: &payload,
                sent_ms: tick_ms,
                now_ms: tick_ms,
            };
            assert_eq!(store.append(&session, wire), Ok(Applied::Applied));
        }
    }
    Arc::new(store)
}

fn told(lives: &[Life], first_tick: u64) -> (Vec<u64>, Vec<Option<Sample>>) {
    let store = store(lives);
    let now_ms = T0 + WINDOW_MS;
    let view = View::new(&store, INTERVAL_MS, WINDOW_MS, now_ms);
    let bounds = Bounds {
        start_ms: T0 + first_tick * INTERVAL_MS,
        end_ms: u64::MAX,
    };
    let ticks = view.ticks(now_ms, bounds);
    let lives = view.entities(&Selector::Pod {
        namespace: "shop",
        name: "web-0",
    });
    let field = table::field(table::CPU).unwrap();
    let series = view.named_series(&Named { lives }, field, &ticks);
    (ticks, series)
}

/// One life on a node of its own, by what each row says of it: `v` a value, `n` nothing but that it
/// is there, a space that it is not; `-` is a row that is missing.
fn life(node: usize, rows: &str) -> Life {
    let start_ms = T0 - 50_000 + node as u64 * 7_000;
    let row = |(n, said): (usize, char)| {
        let tick_ms = T0 + n as u64 * INTERVAL_MS;
        let value = 1_000_000 * node as u64 + n as u64;
        (said != '-').then(|| RawRow {
            tick_ms,
            present: said != ' ',
            point: (said == 'v').then(|| point(tick_ms, 0, value, start_ms)),
            began: None,
            interrupted: false,
        })
    };
    Life {
        node,
        start_ms,
        rows: rows.chars().enumerate().filter_map(row).collect(),
    }
}

/// Which life speaks at each of the first ticks, by its number; `.` when none does.
fn speaking(lives: &[Life], ticks: usize) -> String {
    let (_, series) = told(lives, 0);
    let who = |sample: Option<Sample>| {
        sample.map_or('.', |s| if s.value < 1_000_000 { '0' } else { '1' })
    };
    series.into_iter().take(ticks).map(who).collect()
}

#[test]
fn of_two_lives_whose_nodes_are_silent_the_later_is_held() {
    assert_eq!(speaking(&[life(0, "vvv"), life(1, "--vv")], 6), "001111");
}

#[test]
fn a_life_that_is_there_without_a_value_is_not_spoken_for_by_an_earlier_one() {
    assert_eq!(
        speaking(&[life(0, "vvvvv"), life(1, "---nnv")], 6),
        "000..1"
    );
}

#[test]
fn what_an_earlier_life_left_behind_does_not_show_again() {
    assert_eq!(speaking(&[life(0, "vvv"), life(1, "--vv  ")], 6), "0011..");
}

#[test]
fn of_two_lives_one_that_is_alive_speaks_before_one_that_is_held() {
    assert_eq!(speaking(&[life(0, "vvvvvv"), life(1, "--vv")], 6), "001100");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1_500, ..ProptestConfig::default() })]

    /// The model knows all rows, the view reads only those that can matter: where the ticks that
    /// are asked for begin changes nothing either.
    #[test]
    fn at_every_tick_a_name_says_what_the_life_of_that_tick_says(
        lives in lives(), first_tick in 0_u64..50
    ) {
        let field = table::field(table::CPU).unwrap();
        let (ticks, series) = told(&lives, first_tick);
        for (tick, sample) in ticks.into_iter().zip(series) {
            let expected = model(field, &lives, tick);
            prop_assert_eq!(sample, expected, "{} ticks in", (tick - T0) / INTERVAL_MS);
        }
    }

    /// Each life's counter lies in a range of its own, so that a rate over two of them would show.
    #[test]
    fn no_rate_and_no_hold_spans_two_lives(lives in lives()) {
        let (ticks, series) = told(&lives, 0);
        let of = |value: u64| usize::try_from(value / 1_000_000).unwrap();
        for (tick, sample) in ticks.into_iter().zip(series) {
            let Some(Sample { value, rate, .. }) = sample else { continue };
            prop_assert!(rate.is_none_or(|rate| rate.delta <= value % 1_000_000));
            let later = &lives[of(value) + 1..];
            prop_assert!(!later.iter().any(|life| life.is_alive(tick)), "a later one is alive");
            let held = !lives[of(value)].is_alive(tick);
            prop_assert!(!held || !later.iter().any(|life| life.has_begun(tick)), "held too long");
        }
    }
}
