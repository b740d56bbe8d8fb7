//! Who reports, one by one and all of them.

use super::*;

/// Scenario: more nodes than are looked at together, a question that one of them decides.
/// Guarantees: each is looked at once in order of their names, none behind the one that decides, and one
/// by itself is as it is among all.
#[test]
fn nodes_are_looked_at_in_order_until_one_decides() {
    let store = PlainStore::new(900_000, 0);
    let opening = Opening {
        run: run(1),
        interval_ms: 10_000,
        sent_ms: T0,
        now_ms: T0,
    };
    for n in 0..200 {
        store.open(&format!("node-{n:03}"), opening);
    }
    let all = store.nodes();
    let mut seen = Vec::new();
    assert!(!store.any_node(&mut |node| {
        seen.push(node.clone());
        false
    }));
    assert_eq!(seen, all);
    let mut looked_at = 0;
    assert!(store.any_node(&mut |node| {
        looked_at += 1;
        &*node.name == "node-150"
    }));
    assert_eq!(looked_at, 151);
    assert_eq!(store.node_state("node-150").as_ref(), all.get(150));
    assert_eq!(store.node_state("nobody"), None);
    // Few are looked for one by one, many along the map of all.
    let names: Vec<String> = (0..300).map(|n| format!("node-{n:03}")).collect();
    for of in [
        &names[150..153],
        &names[..120],
        &names[199..201],
        &names[..],
    ] {
        let asked: Vec<&str> = of.iter().map(String::as_str).collect();
        let each = asked.iter().map(|name| store.node_state(name));
        assert_eq!(store.states_of(&asked), each.collect::<Vec<_>>());
    }
}
