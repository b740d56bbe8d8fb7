//! What people and programs read over HTTP.
//!
//! * `model`: the Heapster model API, byte for byte;
//! * `export`: everything of one moment, the dump;
//! * `health`: `/healthz`;
//! * `resource`: the resource metrics of `kubectl top`, v1alpha1;
//! * `scraper`: the API of the Dashboard's metrics scraper;
//! * `stream`: Cairn's own JSON for the page, once or as server-sent events;
//! * `secure`: the HTTPS listener, who asks there and whether they may; `metrics_api`: metrics.k8s.io on it;
//! * `values`: every value of one node;
//! * `workloads`: what pods belong to, with sums over them;
//! * `range`: one field of many entities over a range, made while it is read;
//! * `page`: the page itself;
//! * `native`: every route, and what its answer is about;
//! * `gate`: which of these the plain listener serves, and to which `Host`;
//! * `readers`: who reads at the HTTPS listener, what they may see, and for how long; `shares`: how much of what all
//!   of them need one of them may have.
//!
//! Data flows one way: a route is parsed, [`query`](crate::query) answers, an answer is written.

mod answer;
mod compress;
mod export;
mod gate;
mod health;
mod known_labels;
mod label_rules;
mod labels;
mod metrics_api;
mod model;
mod moment;
mod native;
mod needs;
mod page;
mod path;
mod quantity;
mod range;
mod readers;
mod resource;
mod room;
mod route;
mod scraper;
mod seats;
mod secure;
mod selector;
mod series;
mod shares;
mod steps;
mod stream;
mod system_name;
mod time;
mod values;
pub(crate) mod workloads;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use cairn_runtime::clock::Clock;
use cairn_runtime::shutdown::Token;
use http::{HeaderMap, Method, Uri};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use crate::cluster::Cluster;
use crate::pressure::{Level, Pressure};
use crate::query::{View, Visible};
use crate::store::Door;
use native::{Large, Native};
use seats::Full;

pub(crate) use answer::{IS_PENDING, OF_VISIBLE, PART, PENDING};
pub use gate::Gate;
pub use label_rules::LabelRules;
pub use metrics_api::{HELD, MetricsApi, Start, Terms};
pub use needs::{Asks, Needs};
pub use readers::{Admitted, Denied, Lease, Of, Over};
pub use room::Room;
pub use seats::{Seat, Streams};
pub use secure::{Secure, Wellness, secure_router};
pub use shares::Shares;
pub use steps::{Cut, Most};
pub use stream::Looks;

/// What every route needs.
#[derive(Clone, Debug)]
pub struct Api {
    /// The window.
    pub store: Arc<dyn Door>,
    /// What the Kubernetes API knows.
    pub cluster: Cluster,
    /// By what metrics.k8s.io answers.
    pub terms: Terms,
    /// What time it is.
    pub clock: Clock,
    /// Distance of the grid's ticks, ms.
    pub interval_ms: u64,
    /// How long the window is, ms.
    pub window_ms: u64,
    /// How labels are exported.
    pub labels: Arc<LabelRules>,
    /// What pages show of all nodes.
    pub looks: Looks,
    /// Open event streams and watches.
    pub streams: Streams,
    /// Answers that are being made while they are read.
    pub readers: Streams,
    /// Ends the event streams.
    pub token: Token,
    /// Turns of the requests that may read much.
    pub turns: Arc<Semaphore>,
    /// How many of them one reader may have at once.
    pub own_turns: Shares,
    /// Room for answers that are not sent yet.
    pub room: Room,
    /// How short memory is.
    pub pressure: Pressure,
    /// Requests that were sent away.
    pub metrics: Metrics,
    /// What of the window may be seen; all of it on the plain listener.
    pub visible: Visible,
    /// For how long.
    pub lease: Lease,
    /// Who is answered, where that is known: they have no more than their share.
    pub reader: Option<Arc<str>>,
}

/// Counts requests that were sent away because too many came, and looks at everything.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    busy: Counter,
    no_room: Counter,
    short_of_memory: Counter,
    streams_refused: Counter,
    readers_refused: Counter,
    over_own: Family<[(&'static str, &'static str); 1], Counter>,
    looks: Counter,
}

impl Metrics {
    /// Makes them and shows them in the registry.
    pub fn new(registry: &mut Registry) -> Self {
        let m = Self::default();
        let r = registry.sub_registry_with_prefix("cairn_aggregator_api");
        r.register(
            "busy",
            "Large requests that got no turn in time",
            m.busy.clone(),
        );
        let help = "Large answers that found no room among those that are still being sent";
        r.register("no_room", help, m.no_room.clone());
        let help = "Large requests that were sent away because memory is short";
        r.register("short_of_memory", help, m.short_of_memory.clone());
        let help = "Event streams and watches that were one too many";
        r.register("refused_streams", help, m.streams_refused.clone());
        let help = "Answers, made while they are read, that were one too many";
        r.register("refused_readers", help, m.readers_refused.clone());
        let help = "Requests of readers who had as much as one reader may have, by what";
        r.register("refused_of_one_reader", help, m.over_own.clone());
        for most in Most::ALL {
            // Each is there from the start, so that its first step is seen.
            drop(m.over_own.get_or_create(&[("of", most.as_str())]));
        }
        let help = "Times that what pages show of all nodes was read";
        r.register("looks", help, m.looks.clone());
        m
    }
}

/// Requests that read much of the window at once; others wait for their turn.
pub const TURNS: usize = 4;

/// Of one reader where readers are known: two pieces of an answer are made at once. In the line of all, one reader stands
/// with no more than these, so nobody waits long for a greedy one.
const OWN_TURNS: usize = TURNS / 2;

/// Event streams and watches at once: a page is looked at by people.
pub const MAX_STREAMS: usize = 256;

/// Answers that are made while they are read, at once. Each has two pieces of a quarter of a megabyte
/// at most, and what its socket holds.
pub const MAX_READERS: usize = 64;

/// How long a request may wait for its turn, and its answer for room. Dashboards ask again.
const TURN_WITHIN: Duration = Duration::from_secs(5);

impl Api {
    /// Over a window, with nothing beside it: no cluster is watched, nobody else has its turns and places, memory is
    /// never short, and everything may be seen.
    #[must_use]
    pub fn alone(
        store: Arc<dyn Door>,
        clock: Clock,
        terms: Terms,
        (interval_ms, window_ms): (u64, u64),
    ) -> Self {
        Self {
            store,
            cluster: Cluster::off(),
            terms,
            clock,
            interval_ms,
            window_ms,
            labels: Arc::default(),
            looks: Looks::default(),
            streams: Streams::new(MAX_STREAMS),
            readers: Streams::new(MAX_READERS),
            token: Token::new(),
            turns: Arc::new(Semaphore::new(TURNS)),
            own_turns: Shares::of(TURNS),
            room: Room::default(),
            pressure: Pressure::default(),
            metrics: Metrics::default(),
            visible: Visible::ALL,
            lease: Lease::default(),
            reader: None,
        }
    }

    /// The window at this moment, as far as it may be seen.
    #[must_use]
    pub fn view(&self) -> View {
        self.view_of(self.visible.clone())
    }

    /// The window at this moment for somebody who may see that.
    fn view_of(&self, visible: Visible) -> View {
        let (interval_ms, window_ms) = (self.interval_ms, self.window_ms);
        let view = View::new(&self.store, interval_ms, window_ms, self.clock.unix_ms());
        view.beside(&self.cluster).narrowed(visible)
    }

    /// The same for somebody who was let in.
    #[must_use]
    pub fn for_reader(self, admitted: Admitted) -> Self {
        Self {
            visible: admitted.visible,
            lease: admitted.lease,
            reader: Some(admitted.reader),
            ..self
        }
    }

    /// The same for work that is done for several, each of whom says what they may see.
    fn for_nobody(self) -> Self {
        Self {
            visible: Visible::nothing(),
            lease: Lease::default(),
            reader: None,
            ..self
        }
    }

    /// The same window, with turns, places, looks and room of its own: who asks here waits for nobody who asks
    /// there, and no reader has more than a quarter of them, or two turns.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self {
            looks: Looks::default(),
            streams: self.streams.beside(),
            readers: self.readers.beside(),
            turns: Arc::new(Semaphore::new(TURNS)),
            own_turns: Shares::of(OWN_TURNS),
            room: Room::default(),
            ..self.clone()
        }
    }

    /// A reader has as much as one may have.
    fn over(&self, most: Most) -> Cut {
        let of = [("of", most.as_str())];
        self.metrics.over_own.get_or_create(&of).inc();
        Cut::OfOne(most)
    }

    /// A place among the answers that are made while they are read.
    ///
    /// # Errors
    ///
    /// [`Cut::Full`], [`Cut::OfOne`], [`Cut::Short`].
    pub(crate) fn seat(&self) -> Result<Seat, Cut> {
        if self.pressure.level() == Level::Refuse {
            self.metrics.short_of_memory.inc();
            return Err(Cut::Short);
        }
        self.readers.enter(&self.reader).map_err(|full| match full {
            Full::OfOne => self.over(Most::Readers),
            Full::All => {
                self.metrics.readers_refused.inc();
                Cut::Full
            }
        })
    }

    /// A place among the streams that go on.
    ///
    /// # Errors
    ///
    /// [`Cut::Crowded`], [`Cut::OfOne`].
    pub(crate) fn watch(&self) -> Result<Seat, Cut> {
        self.streams.enter(&self.reader).map_err(|full| match full {
            Full::OfOne => self.over(Most::Streams),
            Full::All => {
                self.metrics.streams_refused.inc();
                Cut::Crowded
            }
        })
    }
}

/// Every route of the plain listener; `calls` are those of gRPC.
pub fn router(api: Api, gate: Gate, calls: Router) -> Router {
    Router::new()
        .fallback(plain)
        .with_state(api)
        .merge(calls)
        .layer(axum::middleware::from_fn_with_state(gate, gate::check))
}

/// What an answer depends on beside the window.
#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

/// Whoever has passed the gate sees everything.
async fn plain(State(api): State<Api>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let asked = Asked {
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
    };
    match path::Segments::parse(asked.uri.path()) {
        Ok(segments) => serve(api, asked, segments).await,
        Err(cleaned) => answer::moved(&cleaned, asked.uri.query()),
    }
}

/// Answers by the route that a path means. What may be seen stands in `api`.
async fn serve(api: Api, asked: Asked, segments: path::Segments) -> Response {
    match Native::of(&segments, asked.uri.query()) {
        Native::Health => {
            let [_, meant] = segments.readings();
            let rest = meant.get(1..).unwrap_or_default();
            let found = health::answer(&api, &asked.method, asked.uri.query(), rest).await;
            found.unwrap_or_else(|| page::answer(&asked.method, &["healthz"]))
        }
        Native::Overview => stream::overview(api, &asked).await,
        Native::Stream => stream::events(api, &asked),
        Native::Range => range::answer(api, asked).await,
        Native::Large(work) => large(api, asked, segments, work).await,
        Native::Page => page::answer(&asked.method, &segments.as_strs()),
    }
}

impl Large {
    fn answer(self, api: &Api, asked: &Asked, segments: &path::Segments) -> Response {
        let answer = match self {
            Large::Export => export::answer(api, asked, segments),
            Large::Model => model::answer(api, asked, segments),
            Large::Resource => resource::answer(api, asked, segments),
            Large::Values => values::answer(api, asked),
            Large::Explain => metrics_api::explain(api, asked),
            Large::Workloads => workloads::list(api, asked),
            Large::WorkloadRange => workloads::range(api, asked),
            // Of another server, which did not compress.
            Large::Scraper => return scraper::answer(api, asked, segments),
        };
        compress::compressed(&asked.headers, answer)
    }
}

/// Answers what may read much of the window, on a thread of its own: a list of a thousand pods
/// must not keep the tasks of the agents waiting.
async fn large(api: Api, asked: Asked, segments: path::Segments, work: Large) -> Response {
    let answering = api.clone();
    let made = api.whole(move || Ok::<_, Infallible>(work.answer(&answering, &asked, &segments)));
    match made.await {
        Ok(Ok(response)) => response,
        Err(cut) => answer::cut(cut),
    }
}

#[cfg(test)]
mod tests;
