//! A watch: what changed after a version, one JSON line each, until its time is over.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::answer::{Body, gone};
use super::control::{Control, Told};
use super::kinds::{self, Kind};
use super::selecting;

/// A watch that asks for no end gets one.
const LONGEST: Duration = Duration::from_secs(1_800);

/// What is watched.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) resource: &'static str,
    pub(super) namespace: Option<String>,
    pub(super) version: u64,
    /// Of labels and of fields.
    pub(super) selectors: [String; 2],
    pub(super) bookmarks: bool,
    pub(super) timeout: Option<Duration>,
}

/// One watch in the making.
struct Watch {
    control: Control,
    wanted: Wanted,
    told: watch::Receiver<Told>,
    began: Told,
    ends: Instant,
    is_over: bool,
}

/// The body of a watch.
pub(super) fn body(control: &Control, wanted: Wanted) -> Body {
    let mut told = control.told();
    let began = *told.borrow_and_update();
    let watch = Watch {
        control: control.clone(),
        ends: Instant::now() + wanted.timeout.unwrap_or(LONGEST).min(LONGEST),
        wanted,
        told,
        began,
        is_over: false,
    };
    let lines = stream::unfold(watch, |mut watch| async move {
        let lines = watch.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(lines)), watch))
    });
    StreamBody::new(lines).boxed_unsync()
}

impl Watch {
    /// The next lines; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.is_over {
                return None;
            }
            let told = *self.told.borrow_and_update();
            if told.closed != self.began.closed {
                return None;
            }
            if told.expired != self.began.expired {
                self.is_over = true;
                return Some(line("ERROR", &gone()).into());
            }
            let lines = self.lines(told);
            if !lines.is_empty() {
                return Some(lines.into());
            }
            tokio::select! {
                changed = self.told.changed() => changed.ok()?,
                () = sleep_until(self.ends) => return None,
            }
        }
    }

    /// What there is to say now.
    fn lines(&mut self, told: Told) -> String {
        let objects = self.control.objects();
        let changes = objects.after(self.wanted.version, self.wanted.resource);
        let version = objects.version();
        drop(objects);
        let Some(changes) = changes else {
            self.is_over = true;
            return line("ERROR", &gone());
        };
        self.wanted.version = version;
        let mut lines = String::new();
        for change in changes {
            let within = self.wanted.namespace.as_deref();
            let [labels, fields] = &self.wanted.selectors;
            let is_wanted = within
                .is_none_or(|wanted| change.object["metadata"]["namespace"] == *wanted)
                && selecting::selects((labels, fields), &change.object);
            if is_wanted {
                lines.push_str(&line(change.kind, &change.object));
            }
        }
        if self.wanted.bookmarks && told.bookmarks != self.began.bookmarks {
            self.began.bookmarks = told.bookmarks;
            let version = version.to_string();
            let kind = kinds::of_resource(self.wanted.resource);
            let mark = json!({
                "kind": kind.map(|kind| kind.kind), "apiVersion": kind.map(Kind::api_version),
                "metadata": {"resourceVersion": version},
            });
            lines.push_str(&line("BOOKMARK", &mark));
        }
        lines
    }
}

fn line(kind: &str, object: &Value) -> String {
    let mut line = json!({"type": kind, "object": object}).to_string();
    line.push('\n');
    line
}
