use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::*;

const DEADLINE: Duration = Duration::from_secs(5);

#[test]
fn modes_parse_and_display_back() {
    for (text, mode) in [
        ("system", Mode::System),
        (
            "driven=1700000000000",
            Mode::Driven {
                start_unix_ms: 1_700_000_000_000,
            },
        ),
        ("driven=0", Mode::Driven { start_unix_ms: 0 }),
    ] {
        assert_eq!(text.parse(), Ok(mode));
        assert_eq!(mode.to_string(), text);
    }
    assert_eq!("driven".parse(), Ok(Mode::Driven { start_unix_ms: 0 }));
    for text in [
        "",
        "Driven",
        "driven=",
        "driven=-1",
        "system=1",
        "driven=1s",
    ] {
        assert!(
            text.parse::<Mode>()
                .unwrap_err()
                .to_string()
                .contains(&format!("{text:?}"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn ticker_skips_missed_ticks_and_keeps_its_phase() {
    let start = Instant::now();
    let mut ticker = ticker(Duration::from_secs(10));
    ticker.tick().await;
    tokio::time::advance(Duration::from_secs(35)).await;
    ticker.tick().await;
    assert_eq!(start.elapsed(), Duration::from_secs(35));
    ticker.tick().await;
    assert_eq!(start.elapsed(), Duration::from_secs(40));
}

#[tokio::test]
async fn the_system_clock_waits_for_real_time_and_cannot_be_stepped() {
    let clock = Clock::new(Mode::System);
    let line = clock.line();
    let target = clock.unix_ms() + 30;
    clock.waiter("test").until(target).await;
    assert!(clock.unix_ms() >= target);
    assert!(line.drift_ms().abs() < 500);
    assert_eq!(clock.step(0, DEADLINE).await, Err(StepError::NotDriven));
    assert_eq!(clock.waiter("test").until_or_back(0).await, Wake::Due);
}

/// Starts a loop like the sampler's: each tick of 10 s adds one, after some work.
fn start_loop(clock: &Clock, ticks: &Arc<AtomicU64>) -> tokio::task::JoinSet<()> {
    let ticks = Arc::clone(ticks);
    let mut waiter = clock.waiter("loop");
    // Planned beside the registration: the task itself may start only after the first step.
    let mut next = clock.unix_ms() + 10_000;
    let mut set = tokio::task::JoinSet::new();
    set.spawn(async move {
        loop {
            waiter.until(next).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            ticks.fetch_add(1, Ordering::SeqCst);
            next += 10_000;
        }
    });
    set
}

#[tokio::test(start_paused = true)]
async fn a_step_returns_after_all_that_was_due_is_done() {
    let clock = Clock::driven(0);
    let ticks = Arc::new(AtomicU64::new(0));
    let task = start_loop(&clock, &ticks);
    for (to, expected) in [
        (9_999, 0),
        (10_000, 1),
        (10_001, 1),
        (50_000, 5),
        (20_000, 5),
    ] {
        clock.step(to, DEADLINE).await.unwrap();
        assert_eq!(ticks.load(Ordering::SeqCst), expected, "at {to}");
        assert_eq!(clock.unix_ms(), to);
    }
    drop(task);
}

#[tokio::test(start_paused = true)]
async fn a_jump_is_another_time_at_once_and_none_has_passed() {
    let clock = Clock::driven(100_000);
    let line = clock.line();
    for (to_ms, drift_ms) in [(3_700_000, 3_600_000), (40_000, -60_000)] {
        clock.jump(to_ms, DEADLINE).await.unwrap();
        assert_eq!((clock.unix_ms(), line.drift_ms()), (to_ms, drift_ms));
        assert_eq!(line.unix_ms(), 100_000);
    }
    clock.step(50_000, DEADLINE).await.unwrap();
    assert_eq!((line.unix_ms(), line.drift_ms()), (110_000, -60_000));
    let mut waiter = clock.waiter("test");
    // It gives its seat up when it is woken.
    let waiting = async move { waiter.until_or_back(60_000).await };
    let (wake, jumped) = tokio::join!(waiting, clock.jump(70_000, DEADLINE));
    assert_eq!((wake, jumped), (Wake::Due, Ok(())));
    let jumped = Clock::system().jump(0, DEADLINE).await;
    assert_eq!(jumped, Err(StepError::NotDriven));
}

#[tokio::test(start_paused = true)]
async fn a_step_names_those_still_at_work_and_forgets_the_dropped() {
    let clock = Clock::driven(0);
    let busy = clock.waiter("uplink");
    let mut resting = clock.waiter("sampler");
    let mut set = tokio::task::JoinSet::new();
    set.spawn(async move { resting.until(1_000_000).await });
    let error = clock.step(5, DEADLINE).await.unwrap_err();
    assert_eq!(
        error,
        StepError::Unsettled {
            names: vec!["uplink"]
        }
    );
    assert_eq!(clock.unix_ms(), 5);
    let step = clock.step(6, DEADLINE);
    let release = async {
        tokio::task::yield_now().await;
        drop(busy);
    };
    assert_eq!(tokio::join!(step, release).0, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_cancelled_is_not_rest() {
    let clock = Clock::driven(0);
    let mut waiter = clock.waiter("sampler");
    tokio::select! {
        () = waiter.until(10) => panic!("the time has not come"),
        () = tokio::time::sleep(Duration::from_millis(1)) => {}
    }
    let error = clock.step(1, DEADLINE).await.unwrap_err();
    assert_eq!(
        error,
        StepError::Unsettled {
            names: vec!["sampler"]
        }
    );
    clock.step(10, Duration::ZERO).await.unwrap_err();
    waiter.until(10).await;
}

#[tokio::test(start_paused = true)]
async fn a_step_back_wakes_only_who_asked_for_it() {
    let clock = Clock::driven(100_000);
    let (mut patient, mut alert) = (clock.waiter("patient"), clock.waiter("alert"));
    let line = clock.line();
    let mut set = tokio::task::JoinSet::new();
    set.spawn(async move {
        patient.until(110_000).await;
        Wake::Due
    });
    clock
        .step(90_000, Duration::from_millis(10))
        .await
        .unwrap_err();
    assert_eq!((line.unix_ms(), line.drift_ms()), (100_000, -10_000));
    let (wake, step) = tokio::join!(alert.until_or_back(95_000), async {
        tokio::task::yield_now().await;
        clock.step(80_000, Duration::from_millis(10)).await
    });
    assert_eq!(wake, Wake::SteppedBack);
    assert_eq!(
        step,
        Err(StepError::Unsettled {
            names: vec!["alert"]
        })
    );
    assert!(set.try_join_next().is_none());
    drop(alert);
    clock.step(110_000, DEADLINE).await.unwrap();
    assert_eq!(set.join_next().await.unwrap().unwrap(), Wake::Due);
    assert_eq!((line.unix_ms(), line.drift_ms()), (130_000, -20_000));
}

#[tokio::test]
async fn a_line_follows_forward_steps_without_drift() {
    let clock = Clock::driven(1_000);
    let line = clock.line();
    clock.step(61_000, DEADLINE).await.unwrap();
    assert_eq!((line.unix_ms(), line.drift_ms()), (61_000, 0));
}

#[tokio::test]
async fn jumps_to_the_ends_of_time_do_not_overflow() {
    let clock = Clock::driven(5);
    let line = clock.line();
    for to in [u64::MAX, 0, u64::MAX, 0] {
        clock.step(to, DEADLINE).await.unwrap();
    }
    assert_eq!((line.unix_ms(), line.drift_ms()), (u64::MAX, -i64::MAX));
}
