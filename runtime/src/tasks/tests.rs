use tokio::sync::oneshot;

use super::*;

const GRACE: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn a_cancelled_token_ends_cleanly() {
    let token = Token::new();
    let mut supervisor = Supervisor::new(token.clone());
    let (health, child) = (supervisor.health(), token.clone());
    supervisor.spawn("worker", async move {
        child.cancelled().await;
        Ok(())
    });
    token.cancel();
    assert_eq!(supervisor.run(GRACE).await, Outcome::Clean);
    assert!(health.is_alive());
}

#[tokio::test(start_paused = true)]
async fn an_early_end_stops_the_others_and_turns_the_health_bad() {
    for (error, expected) in [
        (None, "ended before shutdown".to_owned()),
        (Some("disk is gone"), "disk is gone".to_owned()),
    ] {
        let token = Token::new();
        let mut supervisor = Supervisor::new(token.clone());
        let (health, child) = (supervisor.health(), token.clone());
        let (told, heard) = oneshot::channel();
        supervisor.spawn("listener", async move {
            child.cancelled().await;
            told.send(()).unwrap();
            Ok(())
        });
        supervisor.spawn("sampler", async move {
            error.map_or(Ok(()), |text| {
                Err(TaskError::from(std::io::Error::other(text)))
            })
        });
        let outcome = supervisor.run(GRACE).await;
        assert_eq!(
            outcome,
            Outcome::TaskFailed {
                name: "sampler",
                error: expected.clone()
            }
        );
        assert!(token.is_cancelled() && heard.await.is_ok());
        assert_eq!(
            health.reason().as_deref(),
            Some(&*format!("task sampler failed: {expected}"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_named() {
    let mut supervisor = Supervisor::new(Token::new());
    let health = supervisor.health();
    supervisor.spawn("store", async { panic!("broken invariant") });
    assert_eq!(
        supervisor.run(GRACE).await,
        Outcome::TaskPanicked { name: "store" }
    );
    assert!(!health.is_alive());
}

#[tokio::test(start_paused = true)]
async fn those_that_do_not_stop_are_named_and_aborted() {
    let token = Token::new();
    let mut supervisor = Supervisor::new(token.clone());
    let (guard, aborted) = oneshot::channel::<()>();
    supervisor.spawn("stuck", async move {
        let _guard = guard;
        std::future::pending().await
    });
    supervisor.spawn("quick", async { Ok(()) });
    token.cancel();
    let started = tokio::time::Instant::now();
    assert_eq!(
        supervisor.run(GRACE).await,
        Outcome::Pending {
            names: vec!["stuck"]
        }
    );
    assert_eq!(started.elapsed(), GRACE);
    assert!(aborted.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_group_refuses_beyond_its_limit_and_frees_places() {
    let group = Group::new("sessions", 2);
    let (first, wait) = oneshot::channel::<()>();
    group.try_spawn(async move { drop(wait.await) }).unwrap();
    group.try_spawn(std::future::pending()).unwrap();
    let full = group.try_spawn(async {}).unwrap_err();
    assert_eq!(
        full,
        Full {
            name: "sessions",
            limit: 2
        }
    );
    first.send(()).unwrap();
    while group.len() == 2 {
        tokio::task::yield_now().await;
    }
    group.try_spawn(async { panic!("one task alone") }).unwrap();
    while group.len() == 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(group.drained(GRACE).await, 1);
    assert!(group.try_spawn(async {}).is_err());
    while !group.is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_drains_before_the_deadline_when_all_end() {
    let group = Group::new("sessions", 8);
    group
        .try_spawn(tokio::time::sleep(Duration::from_secs(1)))
        .unwrap();
    let started = tokio::time::Instant::now();
    assert_eq!(group.drained(GRACE).await, 0);
    assert_eq!(started.elapsed(), Duration::from_secs(1));
}

#[tokio::test]
async fn blocking_work_returns_its_value_and_names_its_panic() {
    assert_eq!(blocking("read", || 7).await, Ok(7));
    let error = blocking("read", || panic!("no"))
        .await
        .map(|(): ()| ())
        .unwrap_err();
    assert!(error.to_string().starts_with("read: "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn children_die_with_their_guard() {
    use hyper::rt::Executor as _;
    let children = Children::new();
    let guard = children.abort_on_drop();
    let (held, dropped) = oneshot::channel::<()>();
    children.execute(async move {
        let _held = held;
        std::future::pending::<()>().await;
    });
    tokio::task::yield_now().await;
    drop(guard);
    assert!(dropped.await.is_err());
}
