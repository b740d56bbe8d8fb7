//! Pods of which the watch hears very late.

use super::*;
use crate::cluster::{Change, Known, Pod};
use crate::store::{Door as _, PodName};

const NOW_MS: u64 = 1_795_332_330_000;

fn define(id: u32, kind: v1::EntityKind, name: &str) -> Kind {
    let is_pod = kind == v1::EntityKind::Pod;
    let of_pod = |text: &str| {
        if is_pod {
            text.to_owned()
        } else {
            String::new()
        }
    };
    Kind::Define(v1::Define {
        id,
        kind: kind.into(),
        parent: id - 1,
        name: name.to_owned(),
        namespace: of_pod("shop"),
        uid: of_pod("uid-of-web"),
        ..v1::Define::default()
    })
}

fn row(seq: u64) -> Kind {
    let tick = NOW_MS + seq * 1_000;
    Kind::Row(v1::Row {
        seq,
        tick,
        payload: row::keyframe(codec::DENSE, tick, &Snapshot::default()),
        ..v1::Row::default()
    })
}

/// Scenario: the cluster has a pod on a node a minute after the agent named it, so that its parts were let go.
/// Guarantees: the stream ends and says why, for the agent names all when it comes back: then the pod is there.
#[tokio::test(start_paused = true)]
async fn who_named_a_pod_that_came_too_late_names_it_again() {
    let known = Arc::new(Known::default());
    known.set_synced();
    let store = Arc::new(PackedStore::new(900_000, 0));
    let ingest = Ingest::new(Parts {
        cluster: Cluster::watched(Arc::clone(&known)),
        store: Arc::clone(&store) as _,
        clock: Clock::driven(NOW_MS + 10_000),
        ..parts()
    });
    let names = || {
        let node = define(1, v1::EntityKind::Node, "n");
        [node, define(2, v1::EntityKind::Pod, "web")]
    };
    let web = PodName {
        namespace: "shop",
        name: "web",
        uid: "uid-of-web",
    };
    for (seq, is_too_late) in [(0, true), (3, false)] {
        let kinds = names()
            .into_iter()
            .chain([row(seq), row(seq + 1), row(seq + 2)]);
        let kinds = kinds.map(|kind| frame(NOW_MS, kind));
        let frames: Vec<v1::AgentFrame> = [hello(seq)].into_iter().chain(kinds).collect();
        let known = Arc::clone(&known);
        let messages = iter(0..frames.len()).then(move |nth| {
            let known = Arc::clone(&known);
            async move {
                let rest_s = if nth == 4 { 61 } else { 1 };
                tokio::time::sleep(Duration::from_secs(rest_s)).await;
                if nth == 5 {
                    known.apply(Change::Pod(Pod {
                        namespace: "shop".into(),
                        name: "web".into(),
                        uid: "uid-of-web".into(),
                        node: "n".into(),
                        ..Pod::default()
                    }));
                }
                message()
            }
        });
        let (serving, mut told) = stream(&ingest, Identity::Anyone, frames, messages);
        let reading = async {
            let mut status = None;
            while let Some(answer) = told.recv().await {
                status = answer.err().or(status);
            }
            status
        };
        let ((), status) = tokio::join!(serving, reading);
        if is_too_late {
            let status = status.unwrap();
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            assert!(status.message().contains("web"), "{status:?}");
        } else {
            assert!(status.is_none(), "{status:?}");
        }
        assert_eq!(store.has_pod("n", &web), !is_too_late);
    }
}
