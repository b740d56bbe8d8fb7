//! Lists of several pieces.

use std::io::Read as _;

use bytes::Bytes;
use http_body_util::BodyExt as _;

use super::*;
use crate::api::tests::window::report;
use crate::api::tests::with_store;
use crate::store::PackedStore;

/// Pods of each of three namespaces, over five nodes.
const PODS: usize = 900;
const NODES: usize = 5;
const NAMESPACES: [&str; 3] = ["base", "shop", "shop-2"];

/// The pods of one node.
fn pods_of(node: usize, memory: u64) -> Vec<(EntityDef, Says)> {
    let says = Says {
        working_set: Some(memory),
        ..USUAL
    };
    let mut things = vec![(def(1, EntityKind::Node, 0, &format!("node{node}")), says)];
    let all = NAMESPACES
        .iter()
        .flat_map(|ns| (0..PODS).map(move |n| (*ns, n)));
    for (at, (namespace, n)) in all.enumerate().filter(|(at, _)| at % NODES == node) {
        let id = u32::try_from(2 * at + 2).unwrap();
        things.push((pod(id, namespace, &format!("{namespace}-web-{n}")), says));
        things.push((container(id + 1, id, "app"), says));
    }
    things
}

fn large() -> Listener {
    let mut api = with_store(Arc::new(PackedStore::new(900_000, 0)));
    let known = Known::default();
    known.set_synced();
    for node in 0..NODES {
        let things = pods_of(node, 1 << 20);
        report(&api.store, &format!("node{node}"), &[&things[..]; 3]);
        for (def, _) in things.iter().filter(|(def, _)| def.kind == EntityKind::Pod) {
            known.apply(Change::Pod(Pod {
                namespace: def.namespace.as_str().into(),
                uid: def.uid.as_str().into(),
                node: format!("node{node}").into(),
                ..running(&def.name, labels(&[("app", "web"), ("tier", "backend")]))
            }));
        }
    }
    api.cluster = Cluster::watched(Arc::new(known));
    Listener::of(api)
}

/// Every pod's namespace and name, in order.
fn all() -> Vec<(String, String)> {
    let pods = NAMESPACES
        .iter()
        .flat_map(|ns| (0..PODS).map(move |n| (*ns, n)));
    let mut all: Vec<_> = pods
        .map(|(namespace, n)| (namespace.to_owned(), format!("{namespace}-web-{n}")))
        .collect();
    all.sort();
    all
}

fn names_of(body: &Value) -> Vec<(String, String)> {
    let items = body["items"].as_array().unwrap().iter();
    let of = |item: &Value, key: &str| item["metadata"][key].as_str().unwrap().to_owned();
    items
        .map(|item| (of(item, "namespace"), of(item, "name")))
        .collect()
}

#[tokio::test]
async fn a_list_of_several_pieces_is_whole_and_in_order() {
    let listener = large();
    let told = listener.get(&format!("{ROOT}/pods"), &[]).await;
    assert_eq!(names_of(&told.json()), all());
    // It was not kept back until it was all there.
    assert!(!told.headers.contains_key("content-length"));
    let shop = format!("{ROOT}/namespaces/shop/pods");
    let of_shop: Vec<_> = all().into_iter().filter(|(ns, _)| ns == "shop").collect();
    assert_eq!(names_of(&listener.get(&shop, &[]).await.json()), of_shop);
    let selected = format!("{ROOT}/pods?fieldSelector=metadata.namespace%3Dshop");
    assert_eq!(
        names_of(&listener.get(&selected, &[]).await.json()),
        of_shop
    );
    let zipped = listener
        .get(&format!("{ROOT}/pods"), &[("accept-encoding", "gzip")])
        .await;
    assert_eq!(zipped.headers["content-encoding"], "gzip");
    let mut plain = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(&*zipped.body);
    decoder.read_to_end(&mut plain).unwrap();
    assert_eq!(plain, told.body);
}

/// A field of a message that is a text or a message: its number and bytes, and what comes behind it.
fn field(message: &[u8]) -> (u8, &[u8], &[u8]) {
    let (tag, mut rest) = message.split_first().unwrap();
    assert_eq!(tag & 7, 2);
    let (mut length, mut shift) = (0, 0);
    loop {
        let (byte, behind) = rest.split_first().unwrap();
        length |= usize::from(byte & 0x7f) << shift;
        (shift, rest) = (shift + 7, behind);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let (content, behind) = rest.split_at(length);
    (tag >> 3, content, behind)
}

/// Namespace and name of each item of a list in its envelope, which must end where it says.
fn names_in_protobuf(body: &[u8]) -> Vec<(String, String)> {
    let (number, _, rest) = field(body.strip_prefix(b"k8s\0").unwrap());
    assert_eq!(number, 1);
    let (number, list, rest) = field(rest);
    assert_eq!((number, rest), (2, &[0x1a, 0, 0x22, 0][..]));
    let (number, _, mut items) = field(list);
    assert_eq!(number, 1);
    let mut names = Vec::new();
    while !items.is_empty() {
        let (number, item, rest) = field(items);
        assert_eq!(number, 2);
        let (_, metadata, _) = field(item);
        let (_, name, metadata) = field(metadata);
        let (_, _, metadata) = field(metadata);
        let (_, namespace, _) = field(metadata);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        names.push((text(namespace), text(name)));
        items = rest;
    }
    names
}

#[tokio::test]
async fn protobuf_says_how_long_it_is_before_it_is_and_newer_rows_change_nothing_of_it() {
    let listener = large();
    let path = format!("{ROOT}/pods");
    let before = listener.get(&path, &[PROTOBUF]).await.body;
    assert_eq!(names_in_protobuf(&before), all());
    let mut body = listener.open(&path, &[PROTOBUF]).await.into_body();
    let mut parts: Vec<Bytes> = Vec::new();
    while let Some(frame) = body.frame().await {
        parts.push(frame.unwrap().into_data().unwrap());
        // The type, and then the length: from there on it must be what was counted.
        if parts.len() == 2 {
            for node in 0..NODES {
                let things = pods_of(node, (1 << 40) + 1);
                let name = format!("node{node}");
                report(&listener.secure.metrics.api.store, &name, &[&things[..]; 4]);
            }
        }
    }
    assert!(parts.len() > 5, "{}", parts.len());
    assert_eq!(parts.concat(), before);
    let after = listener.get(&path, &[PROTOBUF]).await.body;
    assert_eq!(names_in_protobuf(&after), all());
    assert_ne!(after, before);
}
