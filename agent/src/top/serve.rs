//! The agent's side: one answer at the socket.

use std::sync::Arc;

use bytes::Bytes;
use cairn_runtime::clock::Clock;
use cairn_runtime::local::{self, Reply};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::{self, TaskError};
use http::header::{ALLOW, HeaderValue};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::PATH;
use super::read::{self, Question};
use crate::ring::Ring;
use crate::sources::status::Statuses;

/// What is asked when somebody asks.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The node's name.
    pub node: String,
    /// Distance of the ticks, ms.
    pub interval_ms: u64,
    /// The agent's clock.
    pub clock: Clock,
    /// Where the rows are.
    pub ring: Ring,
    /// How the sources are doing.
    pub statuses: Statuses,
}

/// Answers at the socket until the token is cancelled.
///
/// # Errors
///
/// As [`local::serve`].
pub async fn serve(bound: local::Bound, asked: Asked, token: Token) -> Result<(), TaskError> {
    let asked = Arc::new(asked);
    // One document at a time: two terminals cost no more memory than one, and the second waits.
    let turn = Arc::new(Semaphore::new(1));
    let answer = move |request: Request<Incoming>| {
        let (asked, turn) = (Arc::clone(&asked), Arc::clone(&turn));
        async move {
            if request.uri().path() != PATH {
                let text = format!("not found: the path is {PATH}\n");
                return local::plain(StatusCode::NOT_FOUND, text);
            }
            if request.method() != Method::GET {
                let text = "this path takes GET\n";
                let mut refused = local::plain(StatusCode::METHOD_NOT_ALLOWED, text);
                let allowed = HeaderValue::from_static("GET");
                refused.headers_mut().insert(ALLOW, allowed);
                return refused;
            }
            match turn.acquire_owned().await {
                Ok(turn) => document(asked, turn).await,
                Err(_) => local::plain(StatusCode::SERVICE_UNAVAILABLE, "the agent stops\n"),
            }
        }
    };
    local::serve(bound, answer, token).await
}

/// The document as JSON. Made on a thread of its own: the sampler has this one.
async fn document(asked: Arc<Asked>, turn: OwnedSemaphorePermit) -> Reply {
    let written = tasks::blocking("top", move || {
        // The work goes on when the one who asked has left, and so does its turn.
        let _turn = turn;
        let statuses = asked.statuses.borrow().clone();
        let document = read::read(
            &asked.ring,
            Question {
                node: &asked.node,
                interval_ms: asked.interval_ms,
                unix_ms: asked.clock.unix_ms(),
                statuses: &statuses,
            },
        );
        serde_json::to_vec(&document).map(Bytes::from)
    });
    match written.await {
        Ok(Ok(json)) => local::reply(StatusCode::OK, "application/json", json),
        Ok(Err(_)) | Err(_) => local::plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the rows could not be read: see the agent's log\n",
        ),
    }
}
