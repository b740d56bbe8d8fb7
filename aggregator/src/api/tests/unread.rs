//! Answers that are begun and not read on.

use std::time::Duration;

use axum::response::Response;
use futures_util::StreamExt as _;
use futures_util::future::{Either, join_all, select};
use http::StatusCode;
use tokio::time::{sleep, timeout};

use super::api;
use crate::api::room::Room;
use crate::api::shares::{READERS, Shares};
use crate::api::{Api, Cut, Most, OWN_TURNS, TURNS, answer};
use crate::query::Visible;

#[tokio::test]
async fn answers_that_nobody_reads_hold_no_turn() {
    let api = api();
    let mut unread = Vec::new();
    for _ in 0..3 * TURNS {
        let seat = api.seat().unwrap();
        let mut made = Box::pin(api.made(seat, 0..20, |n: u32| n));
        assert_eq!(made.next().await, Some(Ok(0)));
        unread.push(made);
    }
    for n in 0..3 * TURNS {
        assert_eq!(api.in_turn(move || n).await, Ok(n));
    }
    for rest in unread {
        let all: Vec<u32> = rest.map(Result::unwrap).collect().await;
        assert_eq!(all, (1..20).collect::<Vec<u32>>());
    }
    assert_eq!(api.readers.count(), 0);
}

/// Bytes of an answer of these tests, which is all that one reader may have.
const BYTES: usize = 10;

fn of_reader(api: &Api, name: &str) -> Api {
    Api {
        reader: Some(name.into()),
        visible: Visible::nothing(),
        ..api.clone()
    }
}

async fn whole(api: &Api) -> Result<Response, Cut> {
    let text = "x".repeat(BYTES);
    let made = api.whole(move || Ok::<_, ()>(answer::text(StatusCode::OK, text)));
    made.await.map(Result::unwrap)
}

/// Scenario: readers who have all of their room in answers that they do not read ask for as many more as there are
/// turns; then for one more; meanwhile another reader asks.
/// Guarantees: the other one has a turn at once; those who wait are told after a while that it is for what they have,
/// and the last of them at once; nothing of that stays.
#[tokio::test(start_paused = true)]
async fn who_waits_for_their_own_room_holds_no_turn() {
    let api = Api {
        room: Room::of(READERS * BYTES),
        own_turns: Shares::of(OWN_TURNS),
        ..api()
    };
    let names: Vec<String> = (0..=TURNS / OWN_TURNS)
        .map(|n| format!("greedy{n}"))
        .collect();
    let greedy: Vec<Api> = names.iter().map(|name| of_reader(&api, name)).collect();
    let jane = of_reader(&api, "jane");
    let mut unread = Vec::new();
    for one in &greedy {
        unread.push(whole(one).await.unwrap());
    }
    let (last, first) = greedy.split_last().unwrap();
    let more = first.iter().flat_map(|one| [one; OWN_TURNS]).map(whole);
    let waiting = Box::pin(join_all(more));
    let others = Box::pin(async {
        // Only when all of them wait does time go on.
        sleep(Duration::from_millis(100)).await;
        let soon = Duration::from_millis(100);
        assert_eq!(timeout(soon, jane.in_turn(|| 7)).await, Ok(Ok(7)));
        let refused = timeout(soon, whole(last)).await.unwrap();
        assert_eq!(refused.unwrap_err(), Cut::OfOne(Most::Room));
    });
    let told = match select(waiting, others).await {
        Either::Left(_) => panic!("nobody waits"),
        Either::Right(((), waiting)) => waiting.await,
    };
    assert_eq!(told.len(), TURNS);
    for one in told {
        assert_eq!(one.unwrap_err(), Cut::OfOne(Most::Room));
    }
    drop(unread);
    for one in &greedy {
        assert!(whole(one).await.is_ok());
    }
}
