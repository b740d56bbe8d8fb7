//! Readiness beside other replicas, by clocks that are driven.

use std::future::{pending, ready};
use std::sync::atomic::{AtomicU8, Ordering};

use cairn_runtime::readiness::Readiness;
use tokio::task::JoinSet;

use super::super::tests::{metrics, tell, unlisted};
use super::*;
use crate::api::MetricsApi;
use crate::cluster::authority::{Asked, Unanswered};

/// What is known of other replicas.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Others {
    None,
    Ready,
    Refused,
    Silent,
}

#[derive(Debug)]
struct Told(AtomicU8);

impl Told {
    fn set(&self, others: Others) {
        self.0.store(others as u8, Ordering::Relaxed);
    }
}

impl Replicas for Told {
    fn another_is_ready(&self) -> Asked<'_, bool> {
        let others = self.0.load(Ordering::Relaxed);
        if others == Others::Silent as u8 {
            return Box::pin(pending());
        }
        Box::pin(ready(if others == Others::Refused as u8 {
            let why = "403 for endpointslices".to_owned();
            Err(Unanswered { why })
        } else {
            Ok(others == Others::Ready as u8)
        }))
    }
}

/// A replica that has just started, of 20 nodes with an agent each, of which 17 were measured.
struct Bed {
    metrics: MetricsApi,
    others: Arc<Told>,
    readiness: Readiness,
    token: Token,
    tasks: JoinSet<Result<(), TaskError>>,
}

impl Bed {
    fn start(others: Others) -> Self {
        Self::with(others, metrics(20, 20, 17), None)
    }

    fn with(others: Others, metrics: MetricsApi, proxy: Option<Proxy>) -> Self {
        let (readiness, token) = (Readiness::new(), Token::new());
        let told = Arc::new(Told(AtomicU8::new(others as u8)));
        let blocker = readiness.block(HELD, "asked");
        let start = metrics.api.terms.start.clone();
        let mut tasks = JoinSet::new();
        let replicas = Arc::clone(&told) as Arc<dyn Replicas>;
        tasks.spawn(start.hold(replicas, proxy, (blocker, token.clone())));
        Self {
            metrics,
            others: told,
            readiness,
            token,
            tasks,
        }
    }

    /// So many seconds pass for everybody; the nodes are looked at in each.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.metrics.api.terms.start.look(&self.metrics.api);
            self.metrics.pass(1).await;
            sleep(Duration::from_secs(1)).await;
        }
        // What became due at the last moment is done.
        sleep(Duration::from_millis(1)).await;
    }

    async fn waits_45_seconds(&self, others: Others) {
        self.pass(44).await;
        assert!(!self.readiness.is_ready(), "{others:?}");
        self.pass(2).await;
        assert!(self.readiness.is_ready(), "{others:?} {}", self.reason());
    }

    fn reason(&self) -> String {
        self.readiness.render(true).1
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_is_alone_is_ready_at_once() {
    let bed = Bed::start(Others::None);
    assert!(!bed.readiness.is_ready());
    sleep(Duration::from_millis(1)).await;
    assert!(bed.readiness.is_ready());
    // It stays so, whoever comes; the data routes wait all the same.
    bed.others.set(Others::Ready);
    bed.pass(10).await;
    assert!(bed.readiness.is_ready() && !bed.metrics.api.terms.start.is_over());
}

#[tokio::test(start_paused = true)]
async fn beside_a_ready_one_it_waits_for_nine_in_ten_nodes() {
    let bed = Bed::start(Others::Ready);
    bed.pass(10).await;
    assert!(!bed.readiness.is_ready());
    let reason = "[-]nodes 17 of 20 nodes that run an agent have been measured twice, 18 are awaited; another \
                  replica is ready meanwhile; ready then, and in 35 s in any case";
    let shown = bed.reason();
    assert!(shown.lines().any(|line| line == reason), "{shown}");
    tell(&bed.metrics.api, 17);
    bed.pass(2).await;
    assert!(bed.readiness.is_ready(), "{}", bed.reason());
    assert!(bed.reason().contains("[+]nodes ok"));
}

#[tokio::test(start_paused = true)]
async fn it_waits_45_seconds_at_most() {
    for others in [Others::Ready, Others::Refused, Others::Silent] {
        let bed = Bed::start(others);
        bed.waits_45_seconds(others).await;
    }
}

/// Scenario: all nodes were measured, and the list of a large cluster ends later than 45 s after the start, or never.
/// Guarantees: beside a ready replica it is not ready before there are answers, which the list keeps back; and after five
/// minutes it is.
#[tokio::test(start_paused = true)]
async fn beside_a_ready_one_it_waits_for_the_list_of_the_cluster() {
    for is_listed in [true, false] {
        let bed = Bed::with(Others::Ready, unlisted(20, 20, 20), None);
        bed.pass(60).await;
        assert!(!bed.readiness.is_ready());
        let shown = bed.reason();
        assert!(
            shown.contains(
                "not all known yet; another replica is ready meanwhile; ready then, and in 240 s"
            ),
            "{shown}"
        );
        if is_listed {
            bed.metrics.api.cluster.known().unwrap().set_synced();
        } else {
            bed.pass(239).await;
            assert!(!bed.readiness.is_ready());
        }
        bed.pass(2).await;
        assert!(bed.readiness.is_ready(), "{}", bed.reason());
    }
}

/// Guarantees: where it is not known whether another one is ready nobody waits for the list longer than for nodes.
#[tokio::test(start_paused = true)]
async fn with_nobody_known_to_be_ready_it_does_not_wait_for_the_list() {
    for others in [Others::Refused, Others::Silent] {
        let bed = Bed::with(others, unlisted(20, 20, 20), None);
        bed.waits_45_seconds(others).await;
    }
}

/// Scenario: all nodes were measured, and what the API server publishes of its proxy is not read at first.
/// Guarantees: beside a ready replica it is not ready before that, as all requests through the API server would be
/// refused; alone it is.
#[tokio::test(start_paused = true)]
async fn beside_a_ready_one_it_waits_until_the_proxy_is_known() {
    let unknown = || Some(Proxy::default());
    let bed = Bed::with(Others::None, metrics(20, 20, 20), unknown());
    bed.pass(1).await;
    assert!(bed.readiness.is_ready());
    let proxy = Proxy::default();
    let bed = Bed::with(Others::Ready, metrics(20, 20, 20), Some(Arc::clone(&proxy)));
    bed.pass(60).await;
    let shown = bed.reason();
    assert!(
        shown.contains("proxy is known was not read yet (front-proxy, below); another"),
        "{shown}"
    );
    assert!(!bed.readiness.is_ready());
    proxy.store(Some(Arc::default()));
    bed.pass(2).await;
    assert!(bed.readiness.is_ready(), "{}", bed.reason());
    let bed = Bed::with(Others::Ready, metrics(20, 20, 20), unknown());
    bed.pass(302).await;
    assert!(bed.readiness.is_ready(), "{}", bed.reason());
}

#[tokio::test(start_paused = true)]
async fn when_the_other_one_goes_it_is_ready_at_once() {
    let bed = Bed::start(Others::Ready);
    bed.pass(10).await;
    assert!(!bed.readiness.is_ready());
    bed.others.set(Others::None);
    bed.pass(3).await;
    assert!(bed.readiness.is_ready(), "{}", bed.reason());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_is_told_with_the_next_step() {
    let bed = Bed::start(Others::Refused);
    bed.pass(2).await;
    let shown = bed.reason();
    assert!(
        shown.contains(
            "403 for endpointslices; may the aggregator's service account list endpointslices"
        ),
        "{shown}"
    );
    bed.others.set(Others::Silent);
    bed.pass(8).await;
    assert!(
        bed.reason().contains("nothing came in 5 s"),
        "{}",
        bed.reason()
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_process_ends_the_wait() {
    let mut bed = Bed::start(Others::Silent);
    bed.pass(1).await;
    bed.token.cancel();
    let ended = bed.tasks.join_next().await;
    assert!(matches!(ended, Some(Ok(Ok(())))), "{ended:?}");
}
