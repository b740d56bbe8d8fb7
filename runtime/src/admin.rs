//! The process's own endpoints: `/livez`, `/readyz`, `/metrics`, `/debug/clock`.
//!
//! Plain HTTP on a listener of its own, one task, no state but what is handed in. Nothing here names
//! a workload. `/debug/*` answers clients on loopback alone, wherever the listener is bound.

mod process;
mod routes;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use prometheus_client::registry::Registry;

pub use self::process::register_process_metrics;
use crate::clock::Clock;
use crate::listen::{self, Bound, ListenMetrics};
use crate::readiness::Readiness;
use crate::shutdown::Token;
use crate::tasks::{TaskError, TaskHealth};

/// Probes and one or two scrapers; more is somebody's mistake.
const MAX_CONNECTIONS: usize = 64;
const MAX_PER_PEER: usize = 16;

/// Above the usual scrape interval of 15 s and probe period of 10 s, so that kept connections live.
const HEADER_DEADLINE: Duration = Duration::from_secs(30);

/// Above the same periods, as the header deadline.
const IDLE_DEADLINE: Duration = Duration::from_secs(60);

/// Above the time that a step of a driven clock may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// The longest answer is the exposition, some hundred KiB: a scraper that takes none of it is dead.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// Nobody has more to say here than a scraper's usual headers.
const MAX_HEADER_BYTES: u32 = 32 * 1024;

/// An answer here is small: what has not gone out by then never will.
const DRAIN: Duration = Duration::from_secs(1);

/// What the endpoints show.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The process's own metrics, complete: nothing can be registered any more.
    pub registry: Arc<Registry>,
    /// What `/readyz` answers.
    pub readiness: Readiness,
    /// What `/livez` answers.
    pub health: TaskHealth,
    /// What `/debug/clock` reads and steps.
    pub clock: Clock,
}

/// Serves the endpoints until the token is cancelled; ends within a second after that.
///
/// Refused connections are logged but in no metric; see [`serve_counted`].
///
/// # Errors
///
/// None so far: the result is what a supervised task returns.
pub async fn serve(listener: Bound, admin: Admin, token: Token) -> Result<(), TaskError> {
    serve_counted(listener, admin, Arc::default(), token).await
}

/// Serves like [`serve`] and counts connections in `metrics` as the listener `admin`.
///
/// # Errors
///
/// As [`serve`].
pub async fn serve_counted(
    listener: Bound,
    admin: Admin,
    metrics: Arc<ListenMetrics>,
    token: Token,
) -> Result<(), TaskError> {
    let config = listen::Config {
        name: "admin",
        max_connections: MAX_CONNECTIONS,
        max_per_peer: MAX_PER_PEER,
        max_handshakes: 0,
        handshake_deadline: Duration::ZERO,
        header_deadline: HEADER_DEADLINE,
        answer_deadline: ANSWER_DEADLINE,
        idle_deadline: IDLE_DEADLINE,
        write_deadline: WRITE_DEADLINE,
        max_header_bytes: MAX_HEADER_BYTES,
        tls: None,
        metrics,
    };
    let admin = Arc::new(admin);
    let service = service_fn(move |request| {
        let admin = Arc::clone(&admin);
        async move { Ok::<_, std::convert::Infallible>(routes::answer(&admin, request).await) }
    });
    listen::serve(listener, config, service, token, DRAIN).await;
    Ok(())
}
