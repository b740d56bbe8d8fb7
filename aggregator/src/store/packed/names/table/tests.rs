use std::collections::BTreeMap;

use cairn_proto::model::{EntityDef, EntityId, EntityKind};
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::text::Name;
use super::super::words::FINDS;
use super::Table;

/// As many things as may live at once.
const IDS: u32 = 900;

/// Owners of pods at a time, and label keys; each has a word.
const OWNERS: u32 = 6;
const KEYS: [&str; 3] = ["app.kubernetes.io/name", "pod-template-hash", "pod-name"];

/// Bytes of each thing and of each of its texts that are not the text.
const OF_THING: usize = 10;
const OF_TEXT: usize = 4;

/// What is done to an id.
#[derive(Clone, Debug)]
enum Step {
    Define(u32, u32),
    Remove(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let random = (0..IDS, any::<u32>());
    prop_oneof![
        4 => random.prop_map(|(id, random)| Step::Define(id, random)),
        1 => (0..IDS).prop_map(Step::Remove),
    ]
}

/// A pod of one of few owners, or the container of the pod before it. Owners are others as time goes by.
fn def(id: u32, (random, era): (u32, usize)) -> EntityDef {
    let owner = random % OWNERS;
    let hash = 0x7_ffcb_bddf_u64 + u64::from(owner) * 0x1_0f3a_9000 + era as u64;
    let name = format!("web-\u{fc}{owner}-{hash:x}-{:05x}", random >> 12);
    let is_pod = id.is_multiple_of(2);
    let label = |key: &str, value: String| (key.to_owned(), value);
    EntityDef {
        id: EntityId(id + 1),
        kind: if is_pod {
            EntityKind::Pod
        } else {
            EntityKind::Container
        },
        parent: (!is_pod).then_some(EntityId(id)),
        namespace: if is_pod {
            format!("shop-{}", owner / 2)
        } else {
            String::new()
        },
        uid: match (is_pod, random % 5) {
            (false, _) => String::new(),
            (true, 0) => format!("uid-{random}"),
            (true, _) => format!("117a9601-bda9-419d-88d9-{random:012x}"),
        },
        runtime_id: if is_pod {
            String::new()
        } else {
            format!("{random:x}")
        },
        labels: if is_pod {
            vec![
                label(KEYS[0], format!("web-{owner}")),
                label(KEYS[1], format!("{hash:x}")),
                label(KEYS[2], name.clone()),
            ]
        } else {
            Vec::new()
        },
        name: if is_pod { name } else { "httpd".to_owned() },
    }
}

/// Bytes of what is said of a thing when nothing is shared.
fn told(def: &EntityDef) -> usize {
    let labels = def.labels.iter().map(|(k, v)| k.len() + v.len());
    let texts = 2 * def.labels.len() + 4;
    let all = def.name.len() + def.namespace.len() + def.uid.len() + def.runtime_id.len();
    all + labels.sum::<usize>() + texts * OF_TEXT + OF_THING
}

fn put(table: &mut Table, def: &EntityDef) {
    table.put(def.id, &Name::of(def), &def.labels);
}

/// The table says of each thing what was said last.
fn check(table: &Table, all: &BTreeMap<EntityId, EntityDef>) {
    assert_eq!(table.len(), all.len());
    for (id, def) in all {
        let name = table.get(*id).unwrap();
        assert_eq!((name.kind, name.parent), (def.kind, def.parent));
        name.name.with(|name| assert_eq!(name, def.name));
        assert_eq!(name.namespace, def.namespace);
        name.uid.with(|uid| assert_eq!(uid, def.uid));
        assert_eq!(name.runtime_id, def.runtime_id);
        assert_eq!(table.labels(*id), def.labels);
    }
    for kind in [EntityKind::Pod, EntityKind::Container] {
        for namespace in ["", "shop-0", "shop-1", "shop-2", "shop", "shop-00"] {
            let is_in = |def: &&EntityDef| def.kind == kind && def.namespace == namespace;
            let expected: Vec<EntityId> = all.values().filter(is_in).map(|def| def.id).collect();
            assert_eq!(table.all_in(kind, namespace), expected, "{namespace}");
        }
    }
}

/// Bytes of a table into which these are put.
fn fresh(all: &BTreeMap<EntityId, EntityDef>) -> usize {
    let mut table = Table::default();
    for def in all.values() {
        put(&mut table, def);
    }
    table.text.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_tidied_says_the_same_in_little_room(steps in vec(step(), 4_000..8_000), kept in vec(prop::bool::weighted(0.7), IDS as usize + 1)) {
        let mut table = Table::default();
        let mut all: BTreeMap<EntityId, EntityDef> = BTreeMap::new();
        let mut most = 0;
        let before = FINDS.get();
        let mut texts = 0;
        for (nth, step) in steps.iter().enumerate() {
            match *step {
                Step::Define(id, random) => {
                    let def = def(id, (random, nth / 2_000));
                    put(&mut table, &def);
                    texts += 1 + usize::from(!def.namespace.is_empty()) + 2 * def.labels.len();
                    most += told(&def);
                    most -= all.insert(def.id, def).as_ref().map_or(0, told);
                }
                Step::Remove(id) => {
                    table.remove(EntityId(id + 1));
                    most -= all.remove(&EntityId(id + 1)).as_ref().map_or(0, told);
                }
            }
            // However often things are called otherwise.
            prop_assert!(table.text.len() <= 2 * most);
        }
        check(&table, &all);
        // What was put was looked for, and nothing else.
        prop_assert_eq!(FINDS.get() - before, texts);
        let before = FINDS.get();
        table.tidy();
        prop_assert_eq!(FINDS.get(), before);
        check(&table, &all);
        let (len, anew) = (table.text.len(), fresh(&all));
        prop_assert!(len * 10 <= anew * 12, "{len} of {anew}");

        all.retain(|id, _| kept[id.0 as usize]);
        let before = FINDS.get();
        table.retain(|id| kept[id.0 as usize]);
        prop_assert_eq!(FINDS.get(), before);
        check(&table, &all);
        let (len, anew) = (table.text.len(), fresh(&all));
        prop_assert!(len * 10 <= anew * 12, "{len} of {anew}");
    }
}

#[test]
fn one_that_shares_little_with_a_word_that_is_gone_costs_the_others_nothing() {
    let word = "a".repeat(200);
    let text = |id: u32| match id {
        // The first to be carried.
        1 => "a".repeat(8) + "b",
        400.. => word.clone(),
        _ => "a".repeat(190) + &id.to_string(),
    };
    let mut table = Table::default();
    let mut all = BTreeMap::new();
    for id in (1..=410).rev() {
        let namespace = if id < 400 { "shop" } else { word.as_str() };
        let def = EntityDef {
            name: text(id),
            namespace: namespace.to_owned(),
            ..def(0, (id, 0))
        };
        let def = EntityDef {
            id: EntityId(id),
            ..def
        };
        put(&mut table, &def);
        all.insert(def.id, def);
    }
    let gone = EntityId(410);
    all.remove(&gone);
    table.remove(gone);
    table.tidy();
    check(&table, &all);
    let (len, anew) = (table.text.len(), fresh(&all));
    assert!(len * 10 <= anew * 11, "{len} of {anew}");
}

#[test]
fn what_had_too_many_words_is_tidied_and_says_the_same() {
    let text = |id: u32| match id % 3 {
        0 => format!("alike-{:03}-\u{fc}{id}", id / 9 % 400),
        1 => format!("alike-{:03}-\u{fd}{}", id / 9 % 400, id / 6),
        _ => format!("{}-alike-and-long", id / 6 % 2_000),
    };
    let mut table = Table::default();
    let mut all = BTreeMap::new();
    // Those that are named first have the words, and most of them go.
    for id in (1..=12_000).rev() {
        let labels = vec![(text(id + 1), text(id + 2)), (text(id + 7), text(id))];
        let def = EntityDef {
            id: EntityId(id),
            name: text(id),
            namespace: text(id + 3),
            labels,
            ..def(0, (id, 0))
        };
        put(&mut table, &def);
        all.insert(def.id, def);
    }
    for round in [2, 3, 5] {
        let is_kept = |id: EntityId| id.0 < 9_000 && !id.0.is_multiple_of(round);
        all.retain(|id, _| is_kept(*id));
        table.retain(is_kept);
        check(&table, &all);
    }
}
