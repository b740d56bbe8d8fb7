//! What holds of whatever the API server sends as an object, and of whatever an object writes as an
//! amount: the fuzz targets and `tests/corpus.rs` make the same checks.

use cairn_aggregator::cluster::{Amounts, Change, Resource};

/// No panic, and what is read is read again as the same.
pub(crate) fn objects(body: &[u8]) {
    for resource in Resource::ALL {
        let Ok(read) = resource.present(body) else {
            continue;
        };
        let again = resource.present(body);
        let again = again.expect("it was read before");
        assert_eq!(format!("{read:?}"), format!("{again:?}"));
    }
}

/// An amount of so many characters has more digits than anybody writes: then its thousandths may not be
/// found though they would fit.
const LONG: usize = 21;

/// No panic, and one amount of everything: as memory in whole bytes it is the thousandths of it as CPU,
/// rounded up, unless these do not fit.
pub(crate) fn quantities(body: &[u8]) {
    let Ok(text) = std::str::from_utf8(body) else {
        return;
    };
    let Amounts {
        cpu_milli,
        memory_bytes,
        ..
    } = amounts(text);
    match (cpu_milli, memory_bytes) {
        (Some(milli), Some(whole)) => assert_eq!(milli.div_ceil(1_000), whole, "{text:?}"),
        (None, Some(whole)) => {
            let is_large = whole > u64::MAX / 1_000 || text.len() >= LONG;
            assert!(is_large, "{text:?}: {whole}");
        }
        (milli, None) => assert_eq!(milli, None, "{text:?}"),
    }
}

/// A node's amounts, each of which is this text.
fn amounts(text: &str) -> Amounts {
    let written = serde_json::json!({
        "metadata": {"name": "node1", "uid": "u"},
        "status": {"allocatable": {"cpu": text, "memory": text}},
    });
    let written = written.to_string();
    match Resource::Nodes.present(written.as_bytes()) {
        Ok(Change::Node(node)) => node.allocatable,
        other => panic!("{other:?}"),
    }
}
