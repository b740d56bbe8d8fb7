//! Readers against an API server that is played.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::{join, join_all};
use tokio::time::{Instant, advance, sleep};

use super::super::answers::KEPT;
use super::*;
use crate::access::Resource;
use crate::cluster::access::Allowed;
use crate::cluster::authority::{Asked, Review, Unanswered};
use crate::cluster::token::Keys;

/// Lets `jane` list pods of `shop` and `controller` those of all namespaces, knows tokens, and counts.
#[derive(Debug, Default)]
struct Played {
    reviews: AtomicUsize,
    questions: AtomicUsize,
    is_away: AtomicBool,
    takes: Duration,
}

fn away() -> Unanswered {
    let why = "connection refused".to_owned();
    Unanswered { why }
}

impl Authority for Played {
    fn review<'a>(&'a self, token: &'a str, audiences: &'a [String]) -> Asked<'a, Review> {
        self.reviews.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            if self.is_away.load(Ordering::Relaxed) {
                return Err(away());
            }
            Ok(Review {
                authenticated: token != "bad",
                username: "jane".to_owned(),
                groups: vec!["dev".to_owned(), MASTERS.to_owned()],
                audiences: if token == "elsewhere" {
                    Vec::new()
                } else {
                    audiences.to_vec()
                },
                ..Review::default()
            })
        })
    }

    fn access<'a>(&'a self, question: &'a Access) -> Asked<'a, Allowed> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            sleep(self.takes).await;
            if self.is_away.load(Ordering::Relaxed) {
                return Err(away());
            }
            let Attributes::Resource(of) = &question.what else {
                return Ok(Allowed::default());
            };
            Ok(Allowed {
                allowed: match question.user.name.as_str() {
                    "controller" => true,
                    "jane" => of.verb == "list" && of.namespace == "shop",
                    _ => false,
                },
                reason: String::new(),
            })
        })
    }

    fn published(&self) -> Asked<'_, Vec<u8>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn keys(&self) -> Asked<'_, Keys> {
        Box::pin(async { Ok(Keys::default()) })
    }
}

fn reviews(played: &Arc<Played>) -> Reviews {
    Reviews::new(
        Arc::clone(played) as Arc<dyn Authority>,
        vec!["cairn".to_owned()],
    )
}

fn named(name: &str) -> User {
    User {
        name: name.to_owned(),
        ..User::default()
    }
}

fn of_pods(namespace: &str) -> Resource {
    Resource {
        verb: "list",
        group: "metrics.k8s.io".to_owned(),
        resource: "pods".to_owned(),
        namespace: namespace.to_owned(),
        ..Resource::default()
    }
}

fn pods(namespace: &str) -> Attributes {
    Attributes::Resource(of_pods(namespace))
}

#[tokio::test(start_paused = true)]
async fn a_right_is_asked_for_once_in_ten_seconds() {
    let played = Arc::new(Played::default());
    let reviews = reviews(&played);
    let denied = Decision::Denied(String::new());
    for _ in 0..5 {
        assert_eq!(
            reviews.decide(&named("jane"), &pods("shop")).await,
            Decision::Allowed
        );
        assert_eq!(reviews.decide(&named("jane"), &pods("bank")).await, denied);
        assert_eq!(reviews.decide(&named("joe"), &pods("shop")).await, denied);
    }
    // Of each of them about all namespaces, and then about each that was asked for.
    assert_eq!(played.questions.load(Ordering::Relaxed), 5);
    advance(KEPT).await;
    reviews.decide(&named("jane"), &pods("shop")).await;
    assert_eq!(played.questions.load(Ordering::Relaxed), 7);
}

#[tokio::test(start_paused = true)]
async fn a_controller_of_a_thousand_namespaces_costs_one_question_a_burst() {
    let played = Arc::new(Played {
        takes: Duration::from_millis(50),
        ..Played::default()
    });
    let reviews = reviews(&played);
    let controller = named("controller");
    for burst in 1..=4 {
        let all = join_all((0..1_000).map(async |index| {
            let one = Attributes::Resource(Resource {
                verb: "get",
                name: format!("web-{index}"),
                ..of_pods(&format!("ns-{index}"))
            });
            let list = pods(&format!("ns-{index}"));
            let (list, one) = join(
                reviews.decide(&controller, &list),
                reviews.decide(&controller, &one),
            )
            .await;
            list == Decision::Allowed && one == Decision::Allowed
        }))
        .await;
        assert!(all.into_iter().all(|allowed| allowed));
        // One for each verb.
        assert_eq!(played.questions.load(Ordering::Relaxed), 2 * burst);
        advance(Duration::from_secs(15)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_the_same_at_once_waits_for_one_answer() {
    let played = Arc::new(Played {
        takes: Duration::from_millis(50),
        ..Played::default()
    });
    let reviews = reviews(&played);
    // More than one reader may have under way.
    let all = join_all((0..100).map(async |_| {
        let user = reviews.user("good").await.unwrap();
        reviews.decide(&user, &pods("shop")).await
    }))
    .await;
    assert!(all.into_iter().all(|one| one == Decision::Allowed));
    let counted = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    assert_eq!(
        (counted(&played.reviews), counted(&played.questions)),
        (1, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_goes_on_without_the_api_server_and_nothing_else() {
    let played = Arc::new(Played::default());
    let reviews = reviews(&played);
    reviews.decide(&named("jane"), &pods("shop")).await;
    reviews.user("good").await.unwrap();
    played.is_away.store(true, Ordering::Relaxed);
    assert_eq!(
        reviews.decide(&named("jane"), &pods("shop")).await,
        Decision::Allowed
    );
    assert!(reviews.user("good").await.is_ok());
    let decision = reviews.decide(&named("jane"), &pods("bank")).await;
    assert!(matches!(decision, Decision::Unanswered(_)), "{decision:?}");
    assert_eq!(reviews.user("new").await, Err(Unauthorized));
    advance(KEPT).await;
    let decision = reviews.decide(&named("jane"), &pods("shop")).await;
    assert!(matches!(decision, Decision::Unanswered(_)), "{decision:?}");
    played.is_away.store(false, Ordering::Relaxed);
    assert_eq!(
        reviews.decide(&named("jane"), &pods("shop")).await,
        Decision::Allowed
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_is_taken_for_its_audience_and_makes_nobody_a_master() {
    let played = Arc::new(Played::default());
    let reviews = reviews(&played);
    let user = reviews.user("good").await.unwrap();
    assert_eq!((&*user.name, user.groups), ("jane", vec!["dev".to_owned()]));
    for bad in ["bad", "elsewhere"] {
        for _ in 0..10 {
            assert_eq!(reviews.user(bad).await, Err(Unauthorized), "{bad}");
        }
    }
    assert_eq!(played.reviews.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn one_reader_who_asks_much_takes_nothing_from_another() {
    let takes = Duration::from_millis(50);
    let played = Arc::new(Played {
        takes,
        ..Played::default()
    });
    let reviews = reviews(&played);
    let began = Instant::now();
    let greedy = join_all((0..1_000).map(async |index| {
        let what = pods(&format!("ns-{index}"));
        reviews.decide(&named("greedy"), &what).await == Decision::Busy
    }));
    let jane = async {
        let decision = reviews.decide(&named("jane"), &pods("shop")).await;
        assert_eq!(decision, Decision::Allowed);
        began.elapsed()
    };
    // The greedy one is first.
    let (greedy, took) = join(greedy, jane).await;
    assert!(took < Duration::from_millis(200), "{took:?}");
    let busy = greedy.into_iter().filter(|busy| *busy).count();
    assert_eq!(busy, 1_000 - OF_ONE);
}
