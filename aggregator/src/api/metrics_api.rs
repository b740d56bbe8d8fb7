//! metrics.k8s.io/v1beta1: what nodes and pods use now, for `kubectl top` and autoscalers.
//!
//! `items` finds what is asked for and what it uses, and keeps that in `copies`; `json` and `protobuf` write it; `list` makes long answers
//! while they are read; `start` says when there is an answer at all, and `explain` why something is not there. A pod is there with all of its containers or not at all, a value is held to its
//! max-age and then withdrawn, and using nothing is a value.

mod common;
mod copies;
mod explain;
mod fields;
mod items;
mod json;
mod list;
mod listed;
mod protobuf;
mod start;

use axum::response::Response;
use cairn_proto::rfc3339;
use http::{HeaderMap, StatusCode};

use super::secure::{Details, Form, GROUP, GROUP_VERSION, How, Media, Shape, Status, Target};
use super::secure::{Kind, choose, envelope, is_watch, small};
use super::selector::Selector as LabelSelector;
use super::{Api, Cut, Shares, TURNS, path, secure};
use items::{Finder, Found, Item, Wanted};

pub(super) use explain::answer as explain;
pub use start::{HELD, Start};

/// What these routes need.
#[derive(Clone, Debug)]
pub struct MetricsApi {
    /// The window, and what is known of the cluster: with turns, places and room that nobody else uses, so that
    /// no other question delays or refuses one of these, and the other way round.
    pub api: Api,
}

/// By what these routes answer.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Least span of CPU, ms.
    pub span_ms: u64,
    /// When there is an answer.
    pub start: Start,
}

impl MetricsApi {
    /// The same for one reader, who has no more than a share of the places. Turns are not shared out: an autoscaler
    /// asks for a thousand small things at once, and each is made in a moment.
    pub(super) fn for_reader(&self, name: &str) -> Self {
        let mut own = self.clone();
        own.api.reader = Some(name.into());
        own.api.own_turns = Shares::of(TURNS);
        own
    }
}

/// What is asked.
pub(super) struct Question<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) query: Option<&'a str>,
}

/// When to ask again, s, while the cluster is being heard of.
const RETRY_AFTER_S: u32 = 2;

/// Which things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Nodes,
    Pods,
}

impl What {
    fn kind(self) -> &'static str {
        match self {
            What::Nodes => "NodeMetrics",
            What::Pods => "PodMetrics",
        }
    }

    fn resource(self) -> &'static str {
        match self {
            What::Nodes => "nodes",
            What::Pods => "pods",
        }
    }
}

/// What keeps all answers back. A part of the pods would be taken for all of them: autoscalers hold while there is no
/// answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// The list of the cluster's nodes and pods.
    List,
    /// Measurements of enough nodes since the start.
    Start,
}

impl Awaited {
    /// `None` when there are answers.
    fn of(api: &Api) -> Option<Self> {
        if api.cluster.known().is_some_and(|known| !known.is_synced()) {
            return Some(Awaited::List);
        }
        (!api.terms.start.is_over()).then_some(Awaited::Start)
    }
}

/// How things are written.
#[derive(Clone, Debug)]
struct Writing {
    what: What,
    form: Form,
    include: Include,
    /// When it was asked, Unix ms: what the first server gave as the time of creation.
    now_ms: u64,
    now: String,
}

/// What of an object stands beside its cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Include {
    Nothing,
    #[default]
    Metadata,
    Object,
}

impl Writing {
    fn new(what: What, kind: Kind, question: &Question<'_>, now_ms: u64) -> Result<Self, Status> {
        let form = choose(question.headers, kind).ok_or_else(Status::not_acceptable)?;
        let include = path::parameter(question.query, "includeObject").unwrap_or_default();
        let include = match &*include {
            "None" => Include::Nothing,
            "" | "Metadata" => Include::Metadata,
            "Object" => Include::Object,
            other => {
                let message = format!("unrecognized includeObject value: {other:?}");
                return Err(Status::bad_request(message));
            }
        };
        Ok(Self {
            what,
            form,
            include,
            now_ms,
            now: rfc3339::format(now_ms / 1_000 * 1_000),
        })
    }
}

/// Answers for nodes and pods, or says why not.
pub(super) async fn answer(
    metrics: &MetricsApi,
    target: &Target,
    question: Question<'_>,
) -> Result<Response, Status> {
    let api = &metrics.api;
    let now_ms = api.clock.unix_ms();
    let (what, kind) = match target {
        Target::Nodes => (What::Nodes, Kind::List),
        Target::Node(_) => (What::Nodes, Kind::One),
        Target::Pods(_) => (What::Pods, Kind::List),
        _ => (What::Pods, Kind::One),
    };
    if kind == Kind::List && is_watch(question.query) {
        return Err(Status::no_watch(Details::of("", GROUP, what.resource())));
    }
    if let Some(awaited) = Awaited::of(api) {
        let message = match awaited {
            Awaited::List => "the cluster's nodes and pods are not all known yet",
            Awaited::Start => {
                "too few nodes have been measured since the start: ask again; /readyz?verbose on the admin \
                 listener says how many are awaited"
            }
        };
        return Err(Status::unavailable(message.to_owned(), RETRY_AFTER_S));
    }
    let writing = Writing::new(what, kind, &question, now_ms)?;
    let how = How::of(
        question.headers,
        question.query,
        writing.form.media.as_str(),
    );
    let namespace = match target {
        Target::Pods(namespace) => namespace.as_deref(),
        Target::Pod(namespace, _) => Some(namespace.as_str()),
        _ => None,
    };
    let finder = Finder::new(api, namespace);
    match target {
        Target::Node(name) => {
            let name = name.clone();
            one(api, how, writing, move |write| finder.node(&name, write)).await
        }
        Target::Pod(namespace, name) => {
            let (namespace, name) = (namespace.clone(), name.clone());
            one(api, how, writing, move |write| {
                finder.pod((&namespace, &name), write)
            })
            .await
        }
        _ => {
            let wanted = wanted(question.query)?;
            let asked = list::Asked {
                finder,
                wanted,
                writing,
            };
            list::answer(api, asked, how).await
        }
    }
}

/// Reads both selectors.
fn wanted(query: Option<&str>) -> Result<Wanted, Status> {
    let text = |name| path::parameter(query, name).unwrap_or_default();
    let labels = LabelSelector::parse(&text("labelSelector"))
        .map_err(|why| Status::bad_request(format!("unable to parse requirement: {why}")))?;
    let fields = fields::Fields::parse(&text("fieldSelector")).map_err(Status::bad_request)?;
    Ok(Wanted { labels, fields })
}

/// Answers for one thing.
async fn one(
    api: &Api,
    how: How,
    writing: Writing,
    find: impl FnOnce(&dyn Fn(&Item<'_, '_>) -> Vec<u8>) -> Found<Vec<u8>> + Send + 'static,
) -> Result<Response, Status> {
    let what = writing.what;
    let found = api.in_turn(move || find(&|item| alone(item, &writing, how.pretty)));
    let body = match found.await.map_err(of_cut)? {
        Found::Item(body) => body,
        Found::Unknown(name) => {
            let kind = match what {
                // Of nodes the first server spoke in the singular.
                What::Nodes => "node",
                What::Pods => "pods",
            };
            let message = format!("{kind} {name:?} not found");
            return Err(Status::not_found(Details::of(&name, "", kind), message));
        }
        Found::Unmeasured(name) => {
            let kind = match what {
                What::Nodes => "nodemetrics",
                What::Pods => "podmetrics",
            };
            let message = format!("{kind}.{GROUP} {name:?} not found");
            return Err(Status::not_found(Details::of(&name, GROUP, kind), message));
        }
    };
    Ok(small(StatusCode::OK, how.content_type, body))
}

/// One by itself, in the form that is asked for.
fn alone(item: &Item<'_, '_>, writing: &Writing, is_pretty: bool) -> Vec<u8> {
    if writing.form.media != Media::Protobuf {
        return secure::indented(json::alone(item, writing), is_pretty);
    }
    let mut pen = protobuf::Pen::new(writing);
    match writing.form.shape {
        Shape::Metadata(version) => {
            envelope(meta(version), "PartialObjectMetadata", &pen.object(item))
        }
        _ => envelope(GROUP_VERSION, writing.what.kind(), &pen.object(item)),
    }
}

/// The version of the shapes that every object has.
fn meta(version: &str) -> &'static str {
    match version {
        "v1beta1" => "meta.k8s.io/v1beta1",
        _ => "meta.k8s.io/v1",
    }
}

/// Why there is no answer.
fn of_cut(cut: Cut) -> Status {
    match cut {
        Cut::Short => Status::too_many(cut.to_string(), 10),
        Cut::OfOne(_) => Status::too_many(cut.to_string(), 1),
        cut => Status::unavailable(cut.to_string(), 1),
    }
}

#[cfg(test)]
mod tests;
