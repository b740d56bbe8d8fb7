//! One watch: events one by one, until its time is over.

use std::time::Duration;

use kube::api::WatchParams;
use kube::core::Request;
use tokio::time::{Instant, timeout_at};

use super::Watcher;
use super::list::path;
use crate::cluster::Error;
use crate::cluster::decode::version;
use crate::cluster::decode::wire::{Event, Failure};
use crate::cluster::lines::{Line, Lines};

/// How long a watch is asked to go on, seconds: drawn from here, so that not all of them end together.
const LIFE_S: std::ops::Range<u32> = 240..290;

/// How much longer than that it is listened to.
const GRACE: Duration = Duration::from_secs(30);

impl Watcher {
    /// Watches from the last version until the API server ends it.
    pub(super) async fn watch(&mut self) -> Result<(), Error> {
        let life_s = fastrand::u32(LIFE_S);
        let from = self.version.clone().unwrap_or_default();
        let params = WatchParams {
            timeout: Some(life_s),
            bookmarks: true,
            ..WatchParams::default()
        };
        let request = Request::new(path(self.resource)).watch(&params, &from);
        let request = request.map_err(|error| Error::Request {
            why: error.to_string(),
        })?;
        let body = self.parts.client.open(request).await?;
        // Nothing may happen for minutes: that it answers is enough.
        self.well();
        let deadline = Duration::from_secs(life_s.into()) + GRACE;
        let ends = Instant::now() + deadline;
        let mut lines = Lines::new(body);
        loop {
            let line = timeout_at(ends, lines.next()).await;
            let line = line.map_err(|_| Error::Deadline {
                path: path(self.resource).to_owned(),
                deadline,
            })?;
            match line? {
                None => return Ok(()),
                Some(Line::TooLong) => self.parts.metrics.bad_object(self.resource),
                Some(Line::Whole(line)) => self.event(&line)?,
            }
        }
    }

    /// Takes in one event. A line that is none is passed over: the next one may be sound.
    fn event(&mut self, line: &[u8]) -> Result<(), Error> {
        let (metrics, resource) = (&self.parts.metrics, self.resource);
        let Ok(Event { kind, object }) = serde_json::from_slice::<Event<'_>>(line) else {
            metrics.bad_object(resource);
            return Ok(());
        };
        let object = object.get().as_bytes();
        match &*kind {
            "ADDED" | "MODIFIED" => self.take(resource.present(object)),
            "DELETED" => self.take(resource.gone(object)),
            "BOOKMARK" => metrics.heard(resource),
            "ERROR" => {
                let failure: Failure = serde_json::from_slice(object).unwrap_or_default();
                return Err(match failure.code {
                    410 => Error::Gone { next: None },
                    code => Error::Status {
                        code,
                        path: path(resource).to_owned(),
                        message: failure.message.chars().take(300).collect(),
                        retry_after: None,
                    },
                });
            }
            _ => metrics.bad_object(resource),
        }
        self.refusals = 0;
        if let Some(version) = version(object) {
            self.version = Some(version);
        }
        Ok(())
    }
}
