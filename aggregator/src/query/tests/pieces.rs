//! How much is asked of the store at once.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cairn_proto::catalogue::{EntityKind, Field, FieldId, Group, Source, table};
use cairn_proto::codec::{DENSE, row};
use cairn_proto::model::{Builder, EarlierRun, EntityDef, EntityId, Run, Stamp};

use crate::query::pieces::AT_ONCE;
use crate::query::{Bounds, Sum, View};
use crate::store::{
    Applied, Defined, Door, Entity, Error, Evicted, NodeState, Opening, PackedStore, PodName,
    SeeRecent, Selector, Session, Size, SourceState, Versions, Visit, VisitFields, Wanted, WireRow,
};

const NOW: u64 = 1_795_332_330_000;
const INTERVAL_MS: u64 = 10_000;
const WINDOW_MS: u64 = 900_000;

/// Pods of the large node: with all ticks of the window and all fields more than may be read at once.
const PODS: u32 = 5_000;

/// A store that counts what is asked of it.
#[derive(Debug)]
struct Counting {
    store: PackedStore,
    // Of each question the entities times the fields.
    asked: Mutex<Vec<usize>>,
    listed: AtomicUsize,
    states: AtomicU64,
}

impl Counting {
    fn new() -> Self {
        Self {
            store: PackedStore::new(WINDOW_MS, 0),
            asked: Mutex::default(),
            listed: AtomicUsize::new(0),
            states: AtomicU64::new(0),
        }
    }

    fn asks(&self, entities: usize, fields: usize) {
        self.asked.lock().unwrap().push(entities * fields);
    }
}

impl Door for Counting {
    fn open(&self, node: &str, opening: Opening) -> Session {
        self.store.open(node, opening)
    }

    fn close(&self, session: &Session, now_ms: u64) {
        self.store.close(session, now_ms);
    }

    fn define(&self, session: &Session, def: EntityDef) -> Result<Defined, Error> {
        self.store.define(session, def)
    }

    fn refuse(&self, session: &Session, entity: EntityId) -> Result<Defined, Error> {
        self.store.refuse(session, entity)
    }

    fn append(&self, session: &Session, row: WireRow<'_>) -> Result<Applied, Error> {
        self.store.append(session, row)
    }

    fn row_bytes(&self, session: &Session) -> u64 {
        self.store.row_bytes(session)
    }

    fn take(&self, session: &Session, block: u64, chunk: &[u8], now: u64) -> Result<u64, Error> {
        self.store.take(session, block, chunk, now)
    }

    fn missing(&self, session: &Session, offered: std::ops::Range<u64>) -> Vec<u64> {
        self.store.missing(session, offered)
    }

    fn first_block(&self, session: &Session) -> u64 {
        self.store.first_block(session)
    }

    fn gap(&self, session: &Session, rows: u64) {
        self.store.gap(session, rows);
    }

    fn dropped(&self, session: &Session, rows: u64) -> u64 {
        self.store.dropped(session, rows)
    }

    fn earlier(&self, session: &Session, runs: &[EarlierRun], now_ms: u64) -> u64 {
        self.store.earlier(session, runs, now_ms)
    }

    fn source(&self, session: &Session, state: SourceState) {
        self.store.source(session, state);
    }

    fn nodes(&self) -> Vec<NodeState> {
        self.listed.fetch_add(1, Ordering::Relaxed);
        self.store.nodes()
    }

    fn node_state(&self, node: &str) -> Option<NodeState> {
        self.states.fetch_add(1, Ordering::Relaxed);
        self.store.node_state(node)
    }

    fn any_node(&self, is_it: &mut dyn FnMut(&NodeState) -> bool) -> bool {
        self.store.any_node(is_it)
    }

    fn namespaces(&self) -> Vec<Arc<str>> {
        self.store.namespaces()
    }

    fn has_pod(&self, node: &str, pod: &PodName<'_>) -> bool {
        self.store.has_pod(node, pod)
    }

    fn entities(&self, selector: &Selector<'_>) -> Vec<Entity> {
        self.store.entities(selector)
    }

    fn visit(
        &self,
        entities: &[&Entity],
        field: FieldId,
        ticks_ms: (u64, u64),
        visit: &mut Visit<'_>,
    ) {
        self.asks(entities.len(), 1);
        self.store.visit(entities, field, ticks_ms, visit);
    }

    fn visit_fields(&self, entities: &[&Entity], fields: &[Wanted], visit: &mut VisitFields<'_>) {
        self.asks(entities.len(), fields.len());
        self.store.visit_fields(entities, fields, visit);
    }

    fn recent(&self, node: &str, namespace: Option<&str>, see: &mut SeeRecent<'_>) -> bool {
        self.store.recent(node, namespace, see)
    }

    fn subscribe(&self) -> Versions {
        self.store.subscribe()
    }

    fn changed_since(&self, version: u64) -> Option<Option<u64>> {
        self.store.changed_since(version)
    }

    fn evict(&self, now_ms: u64) -> Evicted {
        self.store.evict(now_ms)
    }

    fn shorten(&self, to_bytes: u64) -> u64 {
        self.store.shorten(to_bytes)
    }

    fn bytes(&self) -> u64 {
        self.store.bytes()
    }

    fn share(&self) -> u64 {
        self.store.share()
    }

    fn size(&self) -> Size {
        self.store.size()
    }
}

/// A node with so many pods, each with its number in bytes, that has told one row.
fn tells(store: &dyn Door, node: &str, pods: u32) {
    let run = Run {
        epoch_ms: 1,
        boot_id: [1; 16],
        clock_stepped: false,
    };
    let opening = Opening {
        run,
        interval_ms: INTERVAL_MS,
        sent_ms: NOW,
        now_ms: NOW,
    };
    let session = store.open(node, opening);
    let mut builder = Builder::default();
    for id in 1..=pods {
        let def = EntityDef {
            id: EntityId(id),
            kind: EntityKind::Pod,
            parent: None,
            name: format!("pod-{id}"),
            namespace: "shop".into(),
            uid: format!("uid-{node}-{id}"),
            runtime_id: String::new(),
            labels: Vec::new(),
        };
        store.define(&session, def).unwrap();
        let stamp = Stamp {
            time_ms: NOW,
            start_ms: None,
            source: Source::Summary,
        };
        builder.value(EntityId(id), table::MEMORY_USAGE, u64::from(id));
        builder.value(EntityId(id), table::MEMORY_WORKING_SET, 2 * u64::from(id));
        builder.stamp(EntityId(id), Group::Memory, stamp);
    }
    let payload = row::keyframe(DENSE, NOW, &builder.build());
    let wire = WireRow {
        seq: 0,
        base_seq: None,
        tick_ms: NOW,
        payload: &payload,
        sent_ms: NOW,
        now_ms: NOW,
    };
    assert_eq!(store.append(&session, wire), Ok(Applied::Applied));
}

fn view(store: &Arc<Counting>) -> View {
    let door: Arc<dyn Door> = Arc::<Counting>::clone(store);
    View::new(&door, INTERVAL_MS, WINDOW_MS, NOW)
}

/// Scenario: all pods of a node that is full of them, and of a small one, are added up over the window.
/// Guarantees: no more of them are asked for at once than may be read at once, the sums are those of each
/// pod, and all come in the order of one node's pods, then the other's.
#[test]
fn a_node_full_of_pods_is_read_in_pieces() {
    let store = Arc::new(Counting::new());
    tells(&*store, "large", PODS);
    tells(&*store, "small", 3);
    let view = view(&store);
    let pods = view.entities(&Selector::Namespace("shop"));
    let ticks = view.ticks(NOW, Bounds::ALL);
    let ids = [table::MEMORY_USAGE, table::MEMORY_WORKING_SET, table::CPU];
    let fields: Vec<&Field> = ids.iter().filter_map(|id| table::field(*id)).collect();
    let most = usize::try_from(AT_ONCE).unwrap() / ticks.len();
    assert!(pods.len() * fields.len() > most, "it is too few to be cut");

    let mut sums = vec![Sum::new(ticks.len()); fields.len()];
    view.add_pods(&pods, &fields, &ticks, &mut sums);
    let asked = std::mem::take(&mut *store.asked.lock().unwrap());
    assert!(asked.iter().all(|cells| *cells <= most), "{asked:?}");
    assert_eq!(asked.iter().sum::<usize>(), pods.len() * fields.len());
    let pods_of = |count: u32| u64::from(count) * (u64::from(count) + 1) / 2;
    let usage = pods_of(PODS) + pods_of(3);
    let newest: Vec<Option<u64>> = sums
        .into_iter()
        .map(|sum| *sum.totals().last().unwrap())
        .collect();
    assert_eq!(newest, [Some(usage), Some(2 * usage), None]);

    // Of one field at a time as well, each in its place.
    let asked: Vec<&Entity> = pods.iter().collect();
    let mut order = Vec::new();
    view.each_series(&asked, fields[0], &ticks, |nth, samples| {
        let sample = samples.last().copied().flatten().unwrap();
        let name = format!("pod-{}", sample.value);
        assert_eq!(*asked[nth].name, *name);
        order.push((Arc::clone(&asked[nth].node), nth));
    });
    assert_eq!(order.len(), asked.len());
    assert!(order.is_sorted());
}

/// Scenario: rows of so long a time are asked for that one entity alone is more than may be read at once.
/// Guarantees: each entity is read by itself.
#[test]
fn one_entity_is_read_in_any_case() {
    let store = Arc::new(Counting::new());
    tells(&*store, "large", 2);
    let view = view(&store);
    let pods = view.entities(&Selector::Pods);
    let pods: Vec<&Entity> = pods.iter().collect();
    let wanted = vec![(table::CPU, (0, u64::MAX)); 2];
    assert_eq!(view.pieces(&pods, &wanted), [[0], [1]]);
}

/// Scenario: pods of several nodes, and then of one, are listed.
/// Guarantees: the states of all nodes are taken once, at one moment; of one node only its own.
#[test]
fn a_list_is_judged_at_one_moment() {
    let store = Arc::new(Counting::new());
    tells(&*store, "one", 5);
    tells(&*store, "two", 5);
    let taken = || {
        let listed = store.listed.swap(0, Ordering::Relaxed);
        (listed, store.states.swap(0, Ordering::Relaxed))
    };
    assert_eq!(view(&store).namespaces(), [Arc::<str>::from("shop")]);
    assert_eq!(taken(), (1, 0));
    let told = view(&store);
    let pods = told.entities(&Selector::Pods);
    assert_eq!(told.settle(&pods), None);
    assert!(pods.iter().all(|pod| told.is_current(pod)));
    assert_eq!(taken(), (1, 0));
    let view = view(&store);
    let mut pods = view.entities(&Selector::PodsOfNode("two"));
    view.retain_current(&mut pods);
    assert_eq!((pods.len(), taken()), (5, (0, 1)));
}
