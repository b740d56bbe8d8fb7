//! The task that re-reads certificate files.

use std::sync::Arc;
use std::time::Duration;

use super::{Error, ServerTls, Trust};
use crate::shutdown::Token;
use crate::tasks::TaskError;
use crate::{clock, logging, tasks};

/// What a re-reading found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The content is what is in use.
    Same,
    /// The content is new, valid, and in use from now on.
    Changed,
}

/// Something whose files are re-read.
#[derive(Clone, Debug)]
pub enum Reloadable {
    /// A serving certificate.
    Server(Arc<ServerTls>),
    /// What a client trusts.
    Trust(Arc<Trust>),
}

impl From<Arc<ServerTls>> for Reloadable {
    fn from(server: Arc<ServerTls>) -> Self {
        Self::Server(server)
    }
}

impl From<Arc<Trust>> for Reloadable {
    fn from(trust: Arc<Trust>) -> Self {
        Self::Trust(trust)
    }
}

impl Reloadable {
    fn reload(&self) -> Result<Reload, Error> {
        match self {
            Self::Server(server) => server.reload(),
            Self::Trust(trust) => trust.reload(),
        }
    }

    fn what(&self) -> &'static str {
        match self {
            Self::Server(_) => "serving certificate",
            Self::Trust(_) => "trusted certificates",
        }
    }
}

/// Re-reads the files of each item every `period` until the token is cancelled.
///
/// A broken file leaves in use what is in use; it is logged once, and once more when it is mended.
/// The work is done on a blocking thread, one item after another.
///
/// # Errors
///
/// The blocking thread panicked, which is a defect.
pub async fn reload_loop(
    items: Vec<Reloadable>,
    period: Duration,
    token: Token,
) -> Result<(), TaskError> {
    let mut watched: Vec<Watched> = items
        .into_iter()
        .map(|item| Watched { item, broken: None })
        .collect();
    let mut ticker = clock::ticker(period);
    loop {
        // Both branches are cancel safe: a tick not taken is taken by the next call.
        tokio::select! {
            biased;
            () = token.cancelled() => return Ok(()),
            _ = ticker.tick() => {}
        }
        watched = tasks::blocking("reload certificates", move || {
            watched.iter_mut().for_each(Watched::check);
            watched
        })
        .await?;
    }
}

struct Watched {
    item: Reloadable,
    /// What was last logged as wrong.
    broken: Option<String>,
}

impl Watched {
    fn check(&mut self) {
        let what = self.item.what();
        match self.item.reload() {
            Ok(Reload::Changed) => {
                self.broken = None;
                tracing::info!(what, "certificate files changed and are in use");
            }
            Ok(Reload::Same) => {
                if self.broken.take().is_some() {
                    tracing::info!(what, "certificate files are valid again and unchanged");
                }
            }
            Err(error) => {
                let error = logging::chain(&error);
                if self.broken.as_ref() != Some(&error) {
                    tracing::warn!(
                        what,
                        error,
                        "certificate files are broken, the old ones stay"
                    );
                    self.broken = Some(error);
                }
            }
        }
    }
}
