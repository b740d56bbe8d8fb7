//! What is read of a Secret that was written, and of one that was tampered with.

use super::*;

const NOW_S: u64 = 1_800_000_000;

fn names() -> Vec<String> {
    vec!["cairn-ingest.cairn.svc".to_owned()]
}

fn good(object: &Value) -> Held {
    match read(object, &names(), NOW_S) {
        Found::Good(held) => *held,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_written_is_read_again() {
    let held = Held::begin(&names(), NOW_S).unwrap();
    let shipped = json!({"kind": "Secret", "metadata": {"resourceVersion": "7"}});
    let object = held.write(&shipped);
    assert_eq!(object["metadata"], shipped["metadata"]);
    assert_eq!(good(&object), held);
    let later = held.with_next(&names(), NOW_S + 5).unwrap();
    let later = later.published(&names(), NOW_S + 6).unwrap();
    assert_eq!(good(&later.write(&object)), later);
    assert_eq!(later.bundle().matches("BEGIN").count(), 2);
    let promoted = later.promoted(&names(), NOW_S + 7).unwrap();
    let written = promoted.write(&object);
    assert!(written["data"].get(NEXT_KEY).is_none());
    assert_eq!(good(&written), promoted);
    assert!(promoted.bundle().contains(held.bundle().trim()));
    assert_eq!(
        promoted.facts.old_until_s,
        Some(held.facts.leaf.clone().unwrap().until_unix_s)
    );
    let alone = promoted.without_old(&names(), NOW_S + 8).unwrap();
    assert_eq!(good(&alone.write(&written)), alone);
    assert_eq!(alone.bundle().matches("BEGIN").count(), 1);
}

/// What is written down beside the certificates may be damaged, or be of a clock that was wrong.
#[test]
fn an_old_ca_goes_when_it_ends_itself_whatever_is_written_down() {
    let held = Held::begin(&names(), NOW_S).unwrap();
    let later = held.with_next(&names(), NOW_S + 5).unwrap();
    let promoted = later.promoted(&names(), NOW_S + 7).unwrap();
    let object = promoted.write(&json!({}));
    let end_s = held.facts.ca.until_unix_s;
    let far = json!({"old_until_unix_s": u64::MAX}).to_string();
    for mark in ["garbage", "", "{}", &far] {
        let mut object = object.clone();
        object["data"][MARK] = json!(STANDARD.encode(mark));
        // Also long after.
        for now_s in [NOW_S, end_s - 1, end_s + 10 * make::DAY_S] {
            match read(&object, &names(), now_s) {
                Found::Good(held) => assert_eq!(held.facts.old_until_s, Some(end_s), "{mark}"),
                other => panic!("{other:?}"),
            }
        }
    }
    // What is written down and sooner counts.
    let leaf_s = held.facts.leaf.unwrap().until_unix_s;
    assert_eq!(good(&object).facts.old_until_s, Some(leaf_s));
}

#[test]
fn keys_of_others_in_our_secret_stay_and_ours_go_nowhere_else() {
    let held = Held::begin(&names(), NOW_S).unwrap();
    let object = held.write(&json!({"data": {"cookie": "eA=="}}));
    assert_eq!(object["data"]["cookie"], "eA==");
    let said = format!("{held:?}");
    assert!(
        !said.contains("PRIVATE") && !said.contains("BEGIN"),
        "{said}"
    );
}

#[test]
fn what_does_not_hold_is_told_apart() {
    let held = Held::begin(&names(), NOW_S).unwrap();
    let object = held.write(&json!({}));
    assert_eq!(read(&json!({}), &names(), NOW_S), Found::Empty);
    assert_eq!(read(&json!({"data": {}}), &names(), NOW_S), Found::Empty);
    let theirs = json!({"data": {"tls.crt": "", "tls.key": ""}});
    assert_eq!(
        read(&theirs, &names(), NOW_S),
        Found::Foreign("tls.crt, tls.key".into())
    );
    let with = |key: &str, value: Value| {
        let mut object = object.clone();
        object["data"][key] = value;
        object
    };
    let garbage = json!(STANDARD.encode("garbage"));
    for (key, value) in [
        (CA_CERT, garbage.clone()),
        (CA_KEY, garbage.clone()),
        (CA_KEY, json!(5)),
        (CA_CERT, json!("no base64")),
        (CA_KEY, object["data"][LEAF_KEY].clone()),
    ] {
        let found = read(&with(key, value), &names(), NOW_S);
        assert!(matches!(found, Found::Broken(_)), "{key}: {found:?}");
    }
    // The CA is whole: it can sign another leaf.
    for (key, value) in [
        (LEAF_CERT, garbage.clone()),
        (LEAF_KEY, object["data"][CA_KEY].clone()),
        (LEAF_CERT, object["data"][CA_CERT].clone()),
    ] {
        assert!(good(&with(key, value)).facts.leaf.is_err(), "{key}");
    }
    // Times that are no JSON are those of nothing.
    assert_eq!(good(&with(MARK, garbage)), held);
}

#[test]
fn a_leaf_of_other_names_of_another_ca_or_another_time_does_not_hold() {
    let held = Held::begin(&names(), NOW_S).unwrap();
    let object = held.write(&json!({}));
    let fault = |object: &Value, names: &[String], now_s| match read(object, names, now_s) {
        Found::Good(held) => held.facts.leaf.unwrap_err(),
        other => panic!("{other:?}"),
    };
    let other = ["cairn-ingest.elsewhere.svc".to_owned()];
    fault(&object, &other, NOW_S);
    // With one of the names it is shown until the one that writes makes another.
    let more = [names(), other.to_vec()].concat();
    match read(&object, &more, NOW_S) {
        Found::Good(held) => assert_eq!(
            (held.facts.leaf.is_ok(), &*held.facts.missing),
            (true, &other[..])
        ),
        found => panic!("{found:?}"),
    }
    fault(&object, &names(), NOW_S + make::LEAF_LIFE_S + 1);
    fault(&object, &names(), NOW_S - make::EARLIER_S - 1);
    let stranger = Held::begin(&names(), NOW_S).unwrap().write(&json!({}));
    let mut mixed = object;
    for key in [LEAF_CERT, LEAF_KEY] {
        mixed["data"][key] = stranger["data"][key].clone();
    }
    fault(&mixed, &names(), NOW_S);
}
