//! Who shares a look, who waits for one, and what stays of it.

use cairn_proto::model::EntityKind;
use futures_util::future::join_all;
use tokio::task::yield_now;
use tokio::time::{advance, sleep};

use super::kept::KEPT_FOR;
use super::*;
use crate::api::tests::T0;
use crate::api::tests::jam::{Jam, alone, is_pending};
use crate::api::tests::looks::two_nodes;
use crate::api::tests::window::{USUAL, def, report};
use crate::query::{Names, Visible};
use crate::store::Door;

const EVERYTHING: Scope = Scope {
    node: None,
    visible: Visible::ALL,
};

const NEWEST: RangeInclusive<u64> = T0 + 20_000..=T0 + 20_000;

/// A frame of these ticks, whatever was written before.
async fn ask(api: &Api, range: RangeInclusive<u64>) -> Bytes {
    let frame = api.looks.frame(api, &EVERYTHING, range, Duration::ZERO);
    frame.await.unwrap()
}

/// A node comes, with rows from [`T0`] on.
fn join(store: &Arc<dyn Door>, node: &str, rows: usize) {
    let thing = [(def(1, EntityKind::Node, 0, node), USUAL)];
    report(store, node, &vec![thing.as_slice(); rows]);
}

/// Scenario: clients ask and hang up at once, twenty times, while the first look is at work.
/// Guarantees: there is one look, not one a client; what it found is there for whoever comes later, and it
/// is counted, though nobody waited for it.
#[test]
fn a_look_that_nobody_waits_for_is_the_only_one_and_is_not_in_vain() {
    alone(async {
        let (store, api) = two_nodes();
        let jam = Jam::begin().await;
        let before = Arc::strong_count(&store);
        for _ in 0..20 {
            let mut asked = Box::pin(ask(&api, NEWEST));
            assert!(is_pending(asked.as_mut()).await);
            Jam::settle().await;
        }
        // Whoever reads the window holds it: the task, and its look.
        assert_eq!(Arc::strong_count(&store) - before, 2);
        drop(jam);
        while api.metrics.looks.get() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        ask(&api, NEWEST).await;
        assert_eq!(api.metrics.looks.get(), 1);
    });
}

/// Scenario: a look is at work when fifty more clients want the same ticks; rows at them come all the
/// time, as when history comes back.
/// Guarantees: one more look is made for the fifty, and all are told the same.
#[test]
fn those_who_stood_in_line_share_a_look_also_when_rows_change() {
    alone(async {
        let (store, api) = two_nodes();
        let jam = Jam::begin().await;
        let mut first = Box::pin(ask(&api, NEWEST));
        assert!(is_pending(first.as_mut()).await);
        Jam::settle().await;
        let mut others = Box::pin(join_all((0..50).map(|_| ask(&api, NEWEST))));
        assert!(is_pending(others.as_mut()).await);
        join(&store, "node3", 3);
        drop(jam);
        let changes = async {
            for n in 0.. {
                let looks = api.metrics.looks.get();
                while api.metrics.looks.get() == looks {
                    yield_now().await;
                }
                join(&store, &format!("straggler{n}"), 3);
            }
        };
        let all = async { (first.await, others.await) };
        // What the first one is told may be the same: the thread that reads chooses the moment.
        let (_, others) = tokio::select! {
            all = all => all,
            () = changes => unreachable!("goes on"),
        };
        // The third node came after the first look had begun, so that look would not have done.
        assert_eq!(api.metrics.looks.get(), 2);
        assert!(others.iter().all(|frame| *frame == others[0]));
    });
}

/// Scenario: a look took 3 s and is rested from; somebody waits for other ticks; others want what was
/// found, the same frame and one of their own.
/// Guarantees: what is known is told at once; the next look begins after the rest.
#[test]
fn what_is_known_is_told_while_a_look_is_rested_from() {
    alone(async {
        let (_, api) = two_nodes();
        let jam = Jam::begin().await;
        let mut slow = Box::pin(ask(&api, NEWEST));
        assert!(is_pending(slow.as_mut()).await);
        Jam::settle().await;
        advance(Duration::from_secs(3)).await;
        drop(jam);
        let found = slow.await;

        let began = Instant::now();
        let mut next = Box::pin(ask(&api, T0 + 10_000..=T0 + 10_000));
        assert!(is_pending(next.as_mut()).await);
        Jam::settle().await;
        let same = api.looks.frame(&api, &EVERYTHING, NEWEST, NEW);
        assert_eq!(same.await.unwrap(), found);
        let node1 = Scope {
            node: Some("node1".to_owned()),
            ..EVERYTHING
        };
        let own = api.looks.frame(&api, &node1, NEWEST, NEW).await.unwrap();
        assert_ne!(own, found);
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(api.metrics.looks.get(), 1);
        next.await;
        assert!(began.elapsed() >= Duration::from_secs(3));
        assert_eq!(api.metrics.looks.get(), 2);
    });
}

/// Scenario: the newest tick is asked for a few times, then nobody asks for anything.
/// Guarantees: one frame of it is kept, for a second; the look for a minute; then nothing, and no task.
#[test]
fn nothing_stays_when_nobody_asks_any_more() {
    alone(async {
        let (_, api) = two_nodes();
        for _ in 0..3 {
            ask(&api, NEWEST).await;
        }
        let kept = || api.looks.shared.lock().kept.len();
        assert_eq!(kept(), (1, true));
        sleep(NEW + Duration::from_millis(10)).await;
        assert_eq!(kept(), (0, true));
        sleep(KEPT_FOR).await;
        assert_eq!(kept(), (0, false));
        assert!(!api.looks.shared.lock().is_served);
        ask(&api, NEWEST).await;
        assert_eq!(api.metrics.looks.get(), 2);
    });
}

/// Scenario: between reading a tick and writing its frame, thirty seconds pass in which only one node goes
/// on.
/// Guarantees: the frame says how all was at its tick: nobody was missing.
#[test]
fn a_frame_that_is_written_late_is_of_its_tick() {
    alone(async {
        let (store, api) = two_nodes();
        let jam = Jam::begin().await;
        let mut asked = Box::pin(ask(&api, NEWEST));
        assert!(is_pending(asked.as_mut()).await);
        Jam::settle().await;
        // Behind the look, and before its frame.
        let second = Jam::begin().await;
        drop(jam);
        while api.metrics.looks.get() == 0 {
            yield_now().await;
        }
        join(&store, "node1", 6);
        let later = api.clock.step(T0 + 54_000, Duration::from_secs(60));
        later.await.unwrap();
        assert_eq!(api.view().nodes_missing(), 1);
        drop(second);
        let frame: serde_json::Value = serde_json::from_slice(&asked.await).unwrap();
        assert_eq!(frame["ticks"], serde_json::json!([T0 + 20_000]));
        assert_eq!(frame["nodes_missing"], 0);
        assert_eq!(frame["nodes"][1]["state"], "fresh");
    });
}

/// Scenario: there is room for the frame of a window and some more. A client that does not read has one;
/// rows change, and another client wants the window, again and again; a third one wants a tick.
/// Guarantees: the other window is refused, and looked for once, not once a question; the tick is told; when
/// the first client goes, the window is told.
#[test]
fn frames_that_nobody_reads_take_no_more_than_their_room() {
    alone(async {
        let (store, mut api) = two_nodes();
        let window = T0 - 600_000..=T0 + 20_000;
        let (all, tick) = (ask(&api, window.clone()).await, ask(&api, NEWEST).await);
        api.looks = Looks::with_room(all.len() + 2 * tick.len());
        let slow = ask(&api, window.clone()).await;
        join(&store, "node3", 3);
        sleep(NEW + Duration::from_millis(10)).await;
        let looks = api.metrics.looks.get();
        for _ in 0..20 {
            let again = api.looks.frame(&api, &EVERYTHING, window.clone(), NEW);
            assert_eq!(again.await, Err(Cut::Busy));
        }
        assert_eq!(api.metrics.looks.get() - looks, 1);
        drop(ask(&api, NEWEST).await);
        drop(slow);
        sleep(NEW + Duration::from_millis(10)).await;
        let now = ask(&api, window).await;
        assert!(now.len() > all.len(), "with the third node");
    });
}

/// The same, for a reader of this name who may see namespace `a` or `b`.
fn reader(api: &Api, name: &str, namespace: &'static str) -> (Api, Scope) {
    let visible = Visible {
        nodes: Names::none(),
        namespaces: Names::only([namespace.into()]),
        specs: false,
    };
    let api = Api {
        reader: Some(name.into()),
        ..api.clone()
    };
    let node = None;
    (api, Scope { node, visible })
}

/// Scenario: one reader wants forty different looks at once; then another one wants one.
/// Guarantees: the other one waits for the look that is under way, and one turn of the first, not for forty.
#[test]
fn one_readers_looks_hold_up_another_for_one_turn() {
    alone(async {
        let (_, api) = two_nodes();
        let (greedy, of_a) = reader(&api, "greedy", "a");
        let (jane, of_b) = reader(&api, "jane", "b");
        let told = std::cell::RefCell::new(Vec::new());
        let jam = Jam::begin().await;
        let mut all = Box::pin(join_all((0..40).map(async |n| {
            let range = T0 - n * 10_000..=T0 + 20_000;
            let found = greedy.looks.frame(&greedy, &of_a, range, Duration::ZERO);
            found.await.unwrap();
            told.borrow_mut().push("greedy");
        })));
        assert!(is_pending(all.as_mut()).await);
        Jam::settle().await;
        let mut one = Box::pin(async {
            let found = jane.looks.frame(&jane, &of_b, NEWEST, Duration::ZERO);
            found.await.unwrap();
            told.borrow_mut().push("jane");
        });
        assert!(is_pending(one.as_mut()).await);
        drop(jam);
        tokio::join!(all, one);
        let place = told.borrow().iter().position(|who| *who == "jane");
        assert!(place.is_some_and(|place| place <= 2), "{place:?}");
    });
}

/// Scenario: one reader waits for as many different pages as one may.
/// Guarantees: one more is refused with that number, the same one is not, and another reader finds a place.
#[test]
fn one_reader_waits_for_a_quarter_of_the_line() {
    alone(async {
        let (_, api) = two_nodes();
        let (greedy, of_a) = reader(&api, "greedy", "a");
        let (jane, of_b) = reader(&api, "jane", "b");
        let jam = Jam::begin().await;
        let scope = |n: usize| Scope {
            node: Some(format!("node{n}")),
            ..of_a.clone()
        };
        let mut all = Box::pin(join_all((0..=LINE_OF_ONE).map(async |n| {
            let scope = scope(n);
            let found = greedy.looks.frame(&greedy, &scope, NEWEST, Duration::ZERO);
            found.await
        })));
        // The first of them is under way, and in the line no more.
        let mut first = Box::pin(greedy.looks.frame(&greedy, &of_a, NEWEST, Duration::ZERO));
        assert!(is_pending(first.as_mut()).await);
        Jam::settle().await;
        assert!(is_pending(all.as_mut()).await);
        let last = scope(LINE_OF_ONE);
        let more = greedy.looks.frame(&greedy, &last, NEWEST, Duration::ZERO);
        assert_eq!(more.await, Err(Cut::OfOne(Most::Looks)));
        let mut one = Box::pin(jane.looks.frame(&jane, &of_b, NEWEST, Duration::ZERO));
        assert!(is_pending(one.as_mut()).await);
        drop(jam);
        let (all, one, first) = tokio::join!(all, one, first);
        assert!(one.is_ok() && first.is_ok());
        let refused = all
            .iter()
            .filter(|one| **one == Err(Cut::OfOne(Most::Looks)));
        assert_eq!(refused.count(), 1);
    });
}

/// Scenario: a client that does not read has the frame of everything, and there is no room for a later one; a reader of
/// one namespace wants the same ticks of what they may see.
/// Guarantees: the later frame is refused; the reader's, which is small, is told.
#[test]
fn a_frame_that_is_refused_to_one_is_not_refused_to_who_sees_less() {
    alone(async {
        let (store, mut api) = two_nodes();
        let window = T0 - 600_000..=T0 + 20_000;
        let all = ask(&api, window.clone()).await;
        let of_shop = Scope {
            node: None,
            visible: Visible {
                nodes: Names::none(),
                namespaces: Names::only(["shop".into()]),
                specs: false,
            },
        };
        let small = api.looks.frame(&api, &of_shop, window.clone(), NEW);
        let small = small.await.unwrap().len();
        // A missing node is told to this one too.
        let slack = 200;
        assert!(small + slack < all.len(), "{small} of {}", all.len());
        api.looks = Looks::with_room(all.len() + small + slack);
        let slow = ask(&api, window.clone()).await;
        join(&store, "node3", 3);
        sleep(NEW + Duration::from_millis(10)).await;
        let frame = async |scope: &Scope| api.looks.frame(&api, scope, window.clone(), NEW).await;
        assert_eq!(frame(&EVERYTHING).await, Err(Cut::Busy));
        assert!(frame(&of_shop).await.is_ok());
        assert_eq!(frame(&EVERYTHING).await, Err(Cut::Busy));
        drop(slow);
    });
}

/// Scenario: two readers who may see the same wait for one frame. The one who was there first has all of their share in
/// a frame that they do not read.
/// Guarantees: both are told; without the other, the first is refused for their own share.
#[test]
fn a_frame_that_two_wait_for_is_not_refused_for_the_share_of_one() {
    alone(async {
        let (_, mut api) = two_nodes();
        let (greedy, of_shop) = reader(&api, "greedy", "shop");
        let tick = |n: u64| T0 + n * 10_000..=T0 + n * 10_000;
        let one = greedy.looks.frame(&greedy, &of_shop, tick(0), NEW);
        let bytes = one.await.unwrap().len();
        // Of each reader one frame, and not two.
        api.looks = Looks::with_room(READERS * (bytes + bytes / 2));
        let (greedy, _) = reader(&api, "greedy", "shop");
        let (jane, _) = reader(&api, "jane", "shop");
        let frame = |api: Api, n| {
            let of_shop = of_shop.clone();
            async move { api.looks.frame(&api, &of_shop, tick(n), NEW).await }
        };
        let unread = frame(greedy.clone(), 0).await.unwrap();
        let refused = frame(greedy.clone(), 1).await;
        assert_eq!(refused, Err(Cut::OfOne(Most::Room)));
        let jam = Jam::begin().await;
        let mut first = Box::pin(frame(greedy, 2));
        assert!(is_pending(first.as_mut()).await);
        let mut second = Box::pin(frame(jane, 2));
        assert!(is_pending(second.as_mut()).await);
        drop(jam);
        let (first, second) = tokio::join!(first, second);
        assert!(first.is_ok(), "{first:?}");
        assert_eq!(first, second);
        drop(unread);
    });
}
