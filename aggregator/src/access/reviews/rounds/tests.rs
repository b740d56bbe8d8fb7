use futures_util::future::{join, join_all};
use tokio::time::advance;

use super::table::{COUNTS_FOR, FRESH, REFUSED_FOR, REFUSED_FOR_EACH};
use super::*;

const PATIENCE: Duration = Duration::from_secs(9);

const SECOND: Duration = Duration::from_secs(1);

fn names(count: usize) -> Vec<Arc<str>> {
    (0..count).map(|n| format!("n{n}").into()).collect()
}

fn denied() -> Decision {
    Decision::Denied(String::new())
}

fn of_reader(name: &str, token: usize) -> Access {
    let mut access = Access {
        user: super::super::User::default(),
        what: super::super::Attributes::Path {
            verb: "get",
            path: token.to_string(),
        },
    };
    access.user.name = name.to_owned();
    access
}

fn round() -> Arc<Round> {
    Arc::new(Round::new())
}

/// Asks for all that waits, of which some are allowed.
fn ask(mut asker: Asker, is_allowed: impl Fn(&str) -> bool) -> Vec<Arc<str>> {
    let round = asker.round();
    let mut asked = Vec::new();
    while let Some(name) = round.next() {
        let decision = if is_allowed(&name) {
            Decision::Allowed
        } else {
            denied()
        };
        assert!(round.answered(&name, decision));
        asked.push(name);
    }
    assert!(asker.is_over());
    asked
}

/// Has asked about so many, all of which are allowed.
fn allowed(round: &Arc<Round>, count: usize) {
    ask(round.plan(&names(count)).asker.unwrap(), |_| true);
}

#[tokio::test(start_paused = true)]
async fn rights_are_asked_for_again_first_then_what_is_new_then_refusals() {
    let round = round();
    let asker = round.plan(&names(4)).asker.unwrap();
    assert!(round.plan(&names(4)).asker.is_none(), "somebody asks");
    assert_eq!(ask(asker, |name| name == "n2").len(), 4);
    assert!(round.plan(&names(4)).asker.is_none(), "it is fresh");
    advance(FRESH).await;
    let asked = ask(round.plan(&names(6)).asker.unwrap(), |name| name == "n2");
    let asked: Vec<&str> = asked.iter().map(|name| &**name).collect();
    assert_eq!(asked[..3], ["n2", "n4", "n5"]);
    assert_eq!(asked.len(), 6);
    // What is not there any more is forgotten.
    drop(round.plan(&names(1)));
    assert_eq!(round.lock().len(), 1);
}

/// Scenario: 300 rights that are to be asked for at once, and as many refusals.
/// Guarantees: one question in five is about a refusal, so that none of them waits for all rights.
#[tokio::test(start_paused = true)]
async fn rights_leave_one_question_in_five_to_what_was_refused() {
    let round = round();
    let is_allowed = |name: &str| name.trim_start_matches('n').parse::<usize>().unwrap() < 300;
    ask(round.plan(&names(600)).asker.unwrap(), is_allowed);
    advance(Duration::from_secs(30)).await;
    let asked = ask(round.plan(&names(600)).asker.unwrap(), is_allowed);
    let rights = asked[..100].iter().filter(|name| is_allowed(name)).count();
    assert_eq!(rights, 80);
}

#[tokio::test(start_paused = true)]
async fn what_is_old_and_was_not_asked_for_again_is_not_settled() {
    let round = round();
    ask(round.plan(&names(3)).asker.unwrap(), |name| name == "n1");
    let told = || {
        let within = round.lock().within(&names(3), Instant::now());
        (within.allowed.len(), within.pending, within.kept.oldest)
    };
    assert_eq!(told(), (1, 0, Duration::ZERO));
    let almost = COUNTS_FOR - SECOND;
    advance(almost).await;
    assert_eq!(told(), (1, 0, almost));
    advance(SECOND).await;
    // Nothing is shown for a refusal that is old.
    assert_eq!(told(), (0, 1, Duration::ZERO));
    advance(REFUSED_FOR + 3 * REFUSED_FOR_EACH).await;
    assert_eq!(told(), (0, 3, Duration::ZERO));
}

/// Guarantees: who may see many is not made to wait for rights that still count, and waits for those that do not.
#[tokio::test(start_paused = true)]
async fn rights_that_still_count_are_not_waited_for_where_they_are_many() {
    let round = round();
    let all = names(400);
    allowed(&round, 400);
    for (age, waits) in [(30, Duration::ZERO), (15, PATIENCE)] {
        advance(Duration::from_secs(age)).await;
        let planned = round.plan(&all);
        let began = Instant::now();
        let within = round.settled(&planned, &all, PATIENCE).await.unwrap();
        assert_eq!(began.elapsed(), waits);
        assert_eq!(within.pending, if waits.is_zero() { 0 } else { 400 });
        assert_eq!(within.kept.is_many, waits.is_zero());
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_why_nobody_could_say() {
    let round = round();
    let all = names(3);
    let mut planned = round.plan(&all);
    let mut asker = planned.asker.take().unwrap();
    let fails = async {
        let name = round.next().unwrap();
        assert!(!round.answered(&name, Decision::Unanswered("away".to_owned())));
        assert!(asker.is_over());
    };
    let waits = round.settled(&planned, &all, PATIENCE);
    let (told, ()) = join(waits, fails).await;
    assert_eq!(told, Err(Unsettled::Unanswered("away".to_owned())));
    // The next one begins anew.
    assert!(round.plan(&all).asker.is_some());
}

/// Scenario: whoever asks is gone with some questions answered, one under way, and others waiting for it.
/// Guarantees: all who wait are told at once, of what is known where something is; another one can begin, and asks
/// about what was under way too.
#[tokio::test(start_paused = true)]
async fn who_asks_and_goes_away_leaves_nobody_waiting() {
    for is_known in [false, true] {
        let round = round();
        let all = names(3);
        let asker = round.plan(&all).asker.unwrap();
        if is_known {
            let name = round.next().unwrap();
            assert!(round.answered(&name, Decision::Allowed));
        }
        assert!(round.next().is_some());
        let began = Instant::now();
        let waits = join_all((0..3).map(async |_| {
            let planned = round.plan(&all);
            assert!(planned.asker.is_none());
            let told = round.settled(&planned, &all, PATIENCE).await;
            told.map(|within| (within.allowed.len(), within.pending))
        }));
        let goes = async {
            tokio::time::sleep(SECOND).await;
            drop(asker);
        };
        let (told, ()) = join(waits, goes).await;
        let expected = if is_known {
            Ok((1, 2))
        } else {
            Err(Unsettled::Busy)
        };
        assert_eq!(told, vec![expected; 3]);
        assert_eq!(began.elapsed(), SECOND);
        let asked = ask(round.plan(&all).asker.unwrap(), |_| true);
        assert_eq!(asked.len(), if is_known { 2 } else { 3 });
    }
}

#[tokio::test(start_paused = true)]
async fn the_reader_who_asked_longest_ago_makes_room() {
    let rounds = Rounds::default();
    let of = |n: usize| of_reader(&n.to_string(), 0);
    let waited_for = rounds.of(&of(0)).unwrap();
    // Streams rest on these.
    let kept = rounds.of(&of(1)).unwrap();
    allowed(&kept, 200);
    rounds.keep(&of(1), &kept).unwrap();
    drop(kept);
    for n in 2..=MOST_ROUNDS {
        advance(Duration::from_millis(100)).await;
        assert!(rounds.of(&of(n)).is_some());
    }
    let all = rounds.lock();
    assert_eq!(all.len(), MOST_ROUNDS);
    assert!(all.contains_key(&of(0)) && all.contains_key(&of(1)) && !all.contains_key(&of(2)));
    drop(waited_for);
}

/// Scenario: readers of many namespaces, one after the other, as many as can be kept; one more of them, one of a few, and
/// one with two tokens.
/// Guarantees: who has too many by themselves is refused for that; who has too many beside others is, until these
/// have not asked for a minute; who has a few is let in all the same.
#[tokio::test(start_paused = true)]
async fn no_more_rights_are_kept_than_can_be_asked_for_again() {
    let rounds = Rounds::default();
    let keep = |name: &str, token: usize, count: usize| {
        let access = of_reader(name, token);
        let round = rounds.of(&access).unwrap();
        if count > 0 {
            allowed(&round, count);
        }
        rounds.keep(&access, &round)
    };
    assert_eq!(keep("jane", 0, 601), Err(Unsettled::TooMany));
    assert_eq!(keep("joe", 0, 400), Ok(()));
    assert_eq!(keep("joe", 1, 201), Err(Unsettled::TooMany));
    assert_eq!(keep("joe", 2, 200), Ok(()));
    assert_eq!(keep("jim", 0, 600), Ok(()));
    assert_eq!(keep("late", 0, 500), Err(Unsettled::Crowded));
    assert_eq!(keep("few", 0, 8), Ok(()));
    let late = rounds.of(&of_reader("late", 0)).unwrap();
    assert_eq!(late.refusal(), Some(Unsettled::Crowded));
    advance(Duration::from_secs(60)).await;
    assert_eq!((late.refusal(), keep("late", 0, 0)), (None, Ok(())));
}
