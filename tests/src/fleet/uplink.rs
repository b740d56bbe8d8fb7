//! Keeps one stream of one agent: connects, streams, and comes back after a jittered while.

use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::backoff::Backoff;
use cairn_runtime::shutdown::Token;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::connect::Link;
use super::end::End;
use super::life::Life;
use super::session::Session;
use super::shared::{Agent, Pulse, Shared};

/// The delays of a real agent: the first, the longest, the longest that an aggregator may wish for,
/// and how long a good session lives.
const BASE: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(4);
const WISH_CAP: Duration = Duration::from_secs(60);
const MIN_LIFE: Duration = Duration::from_secs(10);

/// How long an attempt waits for its turn to connect; the others have deadlines of their own.
const TURN_DEADLINE: Duration = Duration::from_secs(120);

/// Streams until the token is cancelled.
pub(super) async fn run(shared: Arc<Shared>, agent: usize, uplink: usize, token: Token) {
    let Some(own) = shared.agents.get(agent) else {
        return;
    };
    let mut backoff = Backoff::new(BASE, CAP, MIN_LIFE);
    let mut wishes = Backoff::new(BASE, WISH_CAP, MIN_LIFE);
    let mut pulse = shared.pulse.subscribe();
    loop {
        let life = own.life();
        let cuts = pulse.borrow_and_update().cuts;
        let mut welcomed: Option<Instant> = None;
        // All branches are cancel safe in the one way that matters: what is dropped is a connection.
        let end = tokio::select! {
            biased;
            () = token.cancelled() => return,
            end = severed(&mut pulse, cuts, own, life) => end,
            end = attempt(&shared, own, uplink, &mut welcomed) => end,
        };
        shared.tally.end(&end.text);
        if own.life() != life {
            // Another process begins, and knows nothing of the delays of the one before.
            backoff = Backoff::new(BASE, CAP, MIN_LIFE);
        }
        backoff.lived(welcomed.map_or(Duration::ZERO, |at| at.elapsed()));
        let mut pause = backoff.next();
        if let Some(wish) = end.retry_after {
            wishes.hint(wish);
            pause = pause.max(wishes.next());
        }
        tokio::select! {
            biased;
            () = token.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn attempt(
    shared: &Arc<Shared>,
    agent: &Agent,
    uplink: usize,
    welcomed: &mut Option<Instant>,
) -> End {
    match begin(shared, agent, uplink).await {
        Ok(session) => {
            *welcomed = Some(Instant::now());
            session.run().await
        }
        Err(end) => end,
    }
}

/// Connects when it is its turn: thousands of handshakes at once in one process would run into
/// deadlines that agents on nodes of their own keep.
async fn begin(shared: &Arc<Shared>, agent: &Agent, uplink: usize) -> Result<Session, End> {
    let to = agent.uplinks.get(uplink);
    let address = to.map(|to| to.address).ok_or(End::new("no such address"))?;
    let turn = timeout(TURN_DEADLINE, shared.connecting.acquire()).await;
    let Ok(Ok(_turn)) = turn else {
        return Err(End::new("it was never its turn to connect"));
    };
    let link = Link::open(&shared.connector, address).await?;
    Session::begin(link, shared, agent, uplink).await
}

/// Waits until a test cuts the connections or restarts this agent.
async fn severed(pulse: &mut watch::Receiver<Pulse>, cuts: u64, agent: &Agent, life: Life) -> End {
    loop {
        if pulse.borrow_and_update().cuts != cuts {
            return End::new("cut by the test");
        }
        if agent.life() != life {
            return End::new("the agent was restarted");
        }
        if pulse.changed().await.is_err() {
            return End::new("the fleet ends");
        }
    }
}
