//! Answers that are read in the room of others.

use super::*;

/// Scenario: the recorded answer, one pod of it alone, hostile ones and one of another order, each read in
/// the room of each other.
/// Guarantees: nothing of what was there before is seen in what is read.
#[test]
fn nothing_of_an_earlier_answer_is_left() {
    let ids = |uid: &str| format!(r#""podRef":{{"name":"a","namespace":"b","uid":"{uid}"}}"#);
    let time = r#""time":"2026-11-22T08:00:00Z""#;
    let volume = format!(r#"{{{time},"usedBytes":1,"name":"data","pvcRef":{{"name":"claim"}}}}"#);
    let cards = r#"[{"id":"0","make":"m","memoryUsed":3},{"id":"1"}]"#;
    let memory = format!(r#"{{{time},"rssBytes":7}}"#);
    let container =
        format!(r#"{{"name":"x","memory":{memory},"logs":{{{time}}},"accelerators":{cards}}}"#);
    let network =
        format!(r#"{{{time},"interfaces":[{{"name":"eth0","rxBytes":1}},{{"name":"e1"}}]}}"#);
    let bodies = [
        String::from_utf8(RECORDED.to_vec()).unwrap(),
        format!(
            r#"{{"pods":[{{{},"volume":[{volume}],"network":{network}}}],"node":{{}}}}"#,
            ids("u1")
        ),
        format!(
            r#"{{"node":{{"systemContainers":[{container},{container}]}},"pods":[7,{{{},"containers":[{container}]}}]}}"#,
            ids("u2")
        ),
        format!(r#"{{"node":{{"network":{network},"nodeName":"other"}}}}"#),
        r#"{"node":{}}"#.to_owned(),
    ];
    let read: Vec<Summary> = bodies
        .iter()
        .map(|body| parse(body.as_bytes()).unwrap())
        .collect();
    for (body, expected) in bodies.iter().zip(&read) {
        for earlier in &read {
            let again = parse_into(body.as_bytes(), Some(earlier.clone())).unwrap();
            assert_eq!(again, *expected);
        }
    }
}
