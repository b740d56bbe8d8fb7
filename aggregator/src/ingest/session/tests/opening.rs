//! How fast streams are opened, and what those wait for that are not.

use super::*;
use crate::pressure::Level;

const SECOND: Duration = Duration::from_secs(1);

/// What came first of a stream.
type First = Result<v1::AggregatorFrame, Code>;

/// Opens a stream that ends behind these frames; how long its first answer took, ms, and what that was.
async fn opened(ingest: &Ingest, identity: Identity, frames: Vec<v1::AgentFrame>) -> (u128, First) {
    let began = Instant::now();
    let messages = iter(frames.clone()).map(|_| message());
    let (serving, mut told) = stream(ingest, identity, frames, messages);
    let first = async {
        let first = told.recv().await.unwrap();
        (began.elapsed().as_millis(), first)
    };
    let ((), (took_ms, first)) = tokio::join!(serving, first);
    (took_ms, first.map_err(|status| status.code()))
}

/// A stream that says `Hello`, is welcomed and stays, until its receiver goes.
async fn living(ingest: &Ingest) -> Heard {
    let messages = iter([message()]).chain(pending());
    let (serving, mut told) = stream(ingest, Identity::Anyone, [hello(0)], messages);
    tokio::task::spawn_local(serving);
    assert!(is_welcome(
        &told.recv().await.unwrap().map_err(|status| status.code())
    ));
    told
}

fn is_welcome(first: &First) -> bool {
    matches!(
        first,
        Ok(v1::AggregatorFrame {
            kind: Some(Answer::Welcome(_))
        })
    )
}

/// A `Hello` that is changed a little.
fn hello_but(change: impl FnOnce(&mut v1::Hello)) -> v1::AgentFrame {
    let mut frame = hello(0);
    if let Some(Kind::Hello(hello)) = &mut frame.kind {
        change(hello);
    }
    frame
}

fn question() -> v1::AgentFrame {
    hello_but(|hello| hello.row_codecs.clear())
}

fn node(name: &str) -> Identity {
    Identity::Node(name.into(), [0; 32])
}

/// A timer is no more exact than a millisecond or two.
fn assert_took(took_ms: u128, expected_ms: u128, what: &str) {
    assert!(took_ms.abs_diff(expected_ms) < 5, "{what}: {took_ms}");
}

/// Scenario: an agent opens 63 streams one after the other, and another one asks as often whether it
/// might.
/// Guarantees: the first 60 are answered at once, each further one a second later.
#[tokio::test(start_paused = true)]
async fn who_opens_streams_or_asks_in_a_loop_waits_for_each() {
    for asks in [false, true] {
        let ingest = ingest();
        for nth in 0..63 {
            let first = if asks { question() } else { hello(0) };
            let (took_ms, first) = opened(&ingest, Identity::Anyone, vec![first]).await;
            let expected_ms = if nth < 60 { 0 } else { 1_000 };
            assert_took(took_ms, expected_ms, &format!("{nth}"));
            if asks {
                assert_eq!(first, Err(Code::FailedPrecondition), "{nth}");
            } else {
                assert!(is_welcome(&first), "{nth}: {first:?}");
            }
        }
    }
}

/// Scenario: streams that begin with another frame than `Hello`, with none, with one that is none, and with
/// the `Hello` of another node.
/// Guarantees: each is told so after a second, in which it has its place; with the fourth of them the node
/// has none left, and a second later it has.
#[tokio::test(start_paused = true)]
async fn whoever_does_not_say_a_good_hello_rests_in_its_place() {
    let ingest = ingest();
    let bye = || frame(0, Kind::Bye(v1::Bye::default()));
    let none = || v1::AgentFrame::default();
    let other = || hello_but(|hello| hello.node = "other".to_owned());
    let cases = [
        (vec![bye()], Code::InvalidArgument),
        (vec![], Code::InvalidArgument),
        (vec![none()], Code::InvalidArgument),
        (vec![other()], Code::PermissionDenied),
    ];
    for (frames, code) in cases.clone() {
        let what = format!("{frames:?}");
        let (took_ms, first) = opened(&ingest, node("n"), frames).await;
        assert_took(took_ms, 1_000, &what);
        assert_eq!(first, Err(code), "{what}");
    }
    let all = cases.map(|(frames, _)| opened(&ingest, node("n"), frames));
    let full = async {
        tokio::time::sleep(SECOND / 2).await;
        ingest.inner.unheard.enter(&node("n")).unwrap_err()
    };
    let [a, b, c, d] = all;
    let (_, _, _, _, full) = tokio::join!(a, b, c, d, full);
    assert!(full.to_string().contains("one that was refused"), "{full}");
    assert!(ingest.inner.unheard.enter(&node("n")).is_ok());
}

/// Scenario: the bytes of a stream's first frame cannot be read.
/// Guarantees: it rests a second as well.
#[tokio::test(start_paused = true)]
async fn a_first_frame_that_cannot_be_read_is_no_quicker() {
    let ingest = ingest();
    let began = Instant::now();
    // A message that says it is compressed, where nothing is.
    let bad = Ok(Frame::data(Bytes::from_static(&[1, 0, 0, 0, 0])));
    let (serving, mut told) = stream(&ingest, node("n"), [hello(0)], iter([bad]));
    let ((), told) = tokio::join!(serving, told.recv());
    assert!(told.unwrap().is_err());
    assert_took(began.elapsed().as_millis(), 1_000, "broken");
}

/// Scenario: nothing comes of a stream.
/// Guarantees: it ends with its deadline, and rests no longer: that was a rest.
#[tokio::test(start_paused = true)]
async fn who_says_nothing_has_rested() {
    let ingest = ingest();
    let began = Instant::now();
    let (serving, mut told) = stream(&ingest, node("n"), [], pending());
    let ((), told) = tokio::join!(serving, told.recv());
    assert_eq!(told.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
    assert_took(began.elapsed().as_millis(), 10_000, "silent");
}

/// Scenario: two agents with one name replace each other; then memory is short; then an agent has an
/// interval that is none.
/// Guarantees: a stream and a question are refused alike, each after a second.
#[tokio::test(start_paused = true)]
async fn a_question_is_told_what_a_stream_would_be_told() {
    let both = async |ingest: &Ingest, change: fn(&mut v1::Hello)| {
        let stream = hello_but(change);
        let question = hello_but(|hello| {
            change(hello);
            hello.row_codecs.clear();
        });
        let stream = opened(ingest, Identity::Anyone, vec![stream]).await;
        let question = opened(ingest, Identity::Anyone, vec![question]).await;
        assert_took(stream.0, 1_000, "stream");
        assert_took(question.0, 1_000, "question");
        [stream.1, question.1]
    };
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let replaced = ingest();
            let mut held = Vec::new();
            for _ in 0..4 {
                held.push(living(&replaced).await);
            }
            let told = both(&replaced, |_| {}).await;
            assert_eq!(told, [const { Err(Code::ResourceExhausted) }; 2]);
        })
        .await;
    let short = ingest();
    short.inner.pressure.set(Level::Refuse);
    for told in both(&short, |_| {}).await {
        let kind = told.unwrap().kind;
        assert!(matches!(kind, Some(Answer::Drain(_))), "{kind:?}");
    }
    let told = both(&ingest(), |hello| hello.interval_ms = 1_234).await;
    assert_eq!(told, [const { Err(Code::InvalidArgument) }; 2]);
}

/// Uses up the streams that a node may open at once.
async fn exhausted() -> Ingest {
    let ingest = ingest();
    for _ in 0..60 {
        let (_, first) = opened(&ingest, Identity::Anyone, vec![question()]).await;
        assert_eq!(first, Err(Code::FailedPrecondition));
    }
    ingest
}

/// Scenario: memory becomes short while a stream and a question wait to be paid for.
/// Guarantees: both are sent away.
#[tokio::test(start_paused = true)]
async fn memory_that_becomes_short_meanwhile_counts() {
    let ingest = exhausted().await;
    let short = async {
        tokio::time::sleep(SECOND / 2).await;
        ingest.inner.pressure.set(Level::Refuse);
    };
    let stream = opened(&ingest, Identity::Anyone, vec![hello(0)]);
    let asks = opened(&ingest, Identity::Anyone, vec![question()]);
    let (stream, asks, ()) = tokio::join!(stream, asks, short);
    for (_, told) in [stream, asks] {
        let kind = told.unwrap().kind;
        assert!(matches!(kind, Some(Answer::Drain(_))), "{kind:?}");
    }
}

/// Scenario: where no token is asked for, ten streams of one node, and one of another, come at once; the node
/// may open no more at once.
/// Guarantees: four wait until they are paid for, the others are refused; the other node waits for nothing.
#[tokio::test(start_paused = true)]
async fn without_tokens_few_of_a_node_wait_to_be_paid_for() {
    let ingest = exhausted().await;
    let asks = futures_util::future::join_all(
        (0..10).map(|_| opened(&ingest, Identity::Anyone, vec![question()])),
    );
    let other = hello_but(|hello| {
        hello.node = "other".to_owned();
        hello.row_codecs.clear();
    });
    let other = opened(&ingest, Identity::Anyone, vec![other]);
    let (told, other) = tokio::join!(asks, other);
    assert_took(other.0, 0, "other");
    assert_eq!(other.1, Err(Code::FailedPrecondition));
    let with = |code| {
        let told = told.iter().filter(move |(_, first)| *first == Err(code));
        told.map(|(took_ms, _)| *took_ms).collect::<Vec<_>>()
    };
    for (nth, took_ms) in (1..).zip(with(Code::FailedPrecondition)) {
        assert_took(took_ms, nth * 1_000, "paid for");
    }
    assert_eq!(with(Code::FailedPrecondition).len(), 4);
    assert_eq!(with(Code::ResourceExhausted).len(), 6);
}

/// Scenario: a stream has to be paid for, and its agent hangs up meanwhile.
/// Guarantees: its place is held until it would have been paid for, and the stream that is there stays.
#[tokio::test(start_paused = true)]
async fn who_hangs_up_meanwhile_gains_nothing_and_replaces_nobody() {
    let local = tokio::task::LocalSet::new();
    local.run_until(hung_up()).await;
}

async fn hung_up() {
    let ingest = ingest();
    for _ in 0..59 {
        let (_, first) = opened(&ingest, Identity::Anyone, vec![question()]).await;
        assert_eq!(first, Err(Code::FailedPrecondition));
    }
    let mut stays = living(&ingest).await;
    let began = Instant::now();
    let messages = iter([message()]).chain(pending());
    let (serving, told) = stream(&ingest, Identity::Anyone, [hello(0)], messages);
    drop(told);
    serving.await;
    assert_took(began.elapsed().as_millis(), 1_000, "gone");
    let told = timeout(SECOND, stays.recv()).await;
    assert!(told.is_err(), "it was replaced: {told:?}");
}
