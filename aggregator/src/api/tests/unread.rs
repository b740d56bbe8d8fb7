//! Answers that are begun and not read on.

use futures_util::StreamExt as _;

use super::api;
use crate::api::TURNS;

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
