//! What people and programs read over HTTP.
//!
//! * [`model`]: the Heapster model API, byte for byte;
//! * [`scraper`]: the API of the Dashboard's metrics scraper;
//! * [`stream`]: Cairn's own JSON for the page, once or as server-sent events;
//! * [`page`]: the page itself;
//! * [`gate`]: which of these a listener serves, and to which `Host`.
//!
//! Data flows one way: a route is parsed, [`query`](crate::query) answers, an answer is written.

mod answer;
mod gate;
mod model;
mod page;
mod path;
mod route;
mod scraper;
mod series;
mod stream;
mod time;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use cairn_runtime::clock::Clock;
use cairn_runtime::shutdown::Token;

use crate::query::View;
use crate::store::Door;

pub use gate::Gate;
pub use stream::Streams;

/// What every route needs.
#[derive(Clone, Debug)]
pub struct Api {
    /// The window.
    pub store: Arc<dyn Door>,
    /// What time it is.
    pub clock: Clock,
    /// Distance of the grid's ticks, ms.
    pub interval_ms: u64,
    /// How long the window is, ms.
    pub window_ms: u64,
    /// Open event streams.
    pub streams: Streams,
    /// Ends the event streams.
    pub token: Token,
}

impl Api {
    /// The window at this moment.
    #[must_use]
    pub fn view(&self) -> View {
        View::new(
            &self.store,
            self.interval_ms,
            self.window_ms,
            self.clock.unix_ms(),
        )
    }
}

/// Every route of the plain listener.
pub fn router(api: Api, gate: Gate) -> Router {
    Router::new()
        .route("/api/cairn/v1/overview", get(stream::overview))
        .route("/api/cairn/v1/stream", get(stream::events))
        .fallback(other)
        .layer(axum::middleware::from_fn_with_state(gate, gate::check))
        .with_state(api)
}

/// Routes whose paths are decoded as their first servers did, and the page.
async fn other(State(api): State<Api>, request: Request) -> Response {
    let (method, uri) = (request.method(), request.uri());
    match path::Segments::parse(uri.path()) {
        Err(cleaned) => answer::moved(&cleaned, uri.query()),
        Ok(segments) => {
            let segments = segments.as_strs();
            match segments.as_slice() {
                ["healthz"] => model::healthz(&api, method),
                ["api", "v1", "model", rest @ ..] => model::answer(&api, &request, rest),
                ["api", "v1", "dashboard", rest @ ..] => scraper::answer(&api, method, uri, rest),
                rest => page::answer(method, rest),
            }
        }
    }
}

#[cfg(test)]
mod tests;
