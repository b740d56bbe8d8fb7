//! Readers against an API server that is played.

mod namespaces;

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
    // When each token was reviewed.
    reviewed: Mutex<Vec<Instant>>,
}

fn away() -> Unanswered {
    let why = "connection refused".to_owned();
    Unanswered { why }
}

impl Authority for Played {
    fn review<'a>(&'a self, token: &'a str, audiences: &'a [String]) -> Asked<'a, Review> {
        self.reviews.fetch_add(1, Ordering::Relaxed);
        self.reviewed.lock().unwrap().push(Instant::now());
        Box::pin(async move {
            sleep(self.takes).await;
            if self.is_away.load(Ordering::Relaxed) {
                return Err(away());
            }
            Ok(Review {
                authenticated: token != "bad" && !token.starts_with("garbage"),
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
        Metrics::default(),
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

/// The most that were reviewed in any second.
fn busiest_second(played: &Played) -> usize {
    let all = played.reviewed.lock().unwrap();
    let within = |from: &Instant| {
        let later = all.iter().filter(|at| *at >= from);
        later.filter(|at| **at - *from < SECOND).count()
    };
    all.iter().map(within).max().unwrap_or(0)
}

const SECOND: Duration = Duration::from_secs(1);

/// Scenario: ten thousand tokens a second that nobody knows, none twice, for half a minute, while a reader whose token
/// was good before asks each second.
/// Guarantees: the API server is asked 20 times a second at most; the reader is answered at once each time; who found
/// no room is told to ask again and not that the token is bad, and is counted.
#[tokio::test(start_paused = true)]
async fn ten_thousand_bad_tokens_a_second_are_twenty_questions_and_hold_up_no_good_one() {
    let played = Arc::new(Played {
        takes: Duration::from_millis(50),
        ..Played::default()
    });
    let reviews = reviews(&played);
    assert!(reviews.user("good").await.is_ok());
    let garbage = async {
        let mut told = [0_u64, 0];
        for round in 0..300 {
            // Those that wait are waited for by a few; the rest are told at once.
            let all = (0..1_000).map(async |n| {
                let token = format!("garbage-{round}-{n}");
                timeout(Duration::from_millis(100), reviews.user(&token)).await
            });
            for answer in join_all(all).await.into_iter().flatten() {
                match answer {
                    Err(Unproven::Busy) => told[0] += 1,
                    Err(Unauthorized) => told[1] += 1,
                    Ok(user) => panic!("{user:?}"),
                }
            }
        }
        told
    };
    let good = async {
        for _ in 0..30 {
            let began = Instant::now();
            assert!(reviews.user("good").await.is_ok());
            let took = began.elapsed();
            assert!(took < Duration::from_millis(200), "{took:?}");
            sleep(SECOND).await;
        }
    };
    let (told, ()) = join(garbage, good).await;
    assert!(told[0] > 200_000, "{told:?}");
    let busiest = busiest_second(&played);
    assert!((5..=20).contains(&busiest), "{busiest} in a second");
    let metrics = &reviews.inner.metrics;
    assert_eq!(metrics.counts(Of::Token).1, told[0]);
    let (asked, refused) = metrics.counts(Of::KnownToken);
    assert!(
        (2..=4).contains(&asked) && refused == 0,
        "{asked} {refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_room_is_not_told_that_the_token_is_bad() {
    let played = Arc::new(Played {
        takes: Duration::from_secs(60),
        ..Played::default()
    });
    let reviews = reviews(&played);
    // Nobody is answered in time: the lines are full.
    let waiting = join_all((0..lanes::PLACES).map(async |n| {
        let told = reviews.user(&format!("waits-{n}")).await;
        assert!(told.is_err());
        told == Err(Unproven::Busy)
    }));
    let late = async {
        sleep(Duration::from_millis(10)).await;
        let began = Instant::now();
        assert_eq!(reviews.user("late").await, Err(Unproven::Busy));
        assert_eq!(began.elapsed(), Duration::ZERO);
    };
    join(waiting, late).await;
    assert!(reviews.inner.metrics.counts(Of::Token).1 >= 1);
}

/// A token that was good and is not any more leaves the line of those that are known.
#[tokio::test(start_paused = true)]
async fn a_token_that_was_revoked_waits_with_the_others_from_then_on() {
    let played = Arc::new(Played::default());
    let reviews = reviews(&played);
    reviews.user("good").await.unwrap();
    let hash = token::hash(b"good");
    assert!(reviews.inner.lanes.is_known(&hash));
    reviews.inner.lanes.reviewed(hash, false);
    advance(KEPT).await;
    reviews.user("good").await.unwrap();
    let metrics = &reviews.inner.metrics;
    assert_eq!(
        (
            metrics.counts(Of::Token).0,
            metrics.counts(Of::KnownToken).0
        ),
        (2, 0)
    );
}
