//! The task that re-reads certificate files.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "secure-listen")]
use super::ServerTls;
use super::Trust;
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
    #[cfg(feature = "secure-listen")]
    Server(Arc<ServerTls>),
    /// What a client trusts.
    Trust(Arc<Trust>),
}

#[cfg(feature = "secure-listen")]
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

/// Re-reads the files of each item every `period` until the token is cancelled.
///
/// A broken file leaves in use what was in use of it; it is logged once, and once more when it is mended. So
/// is a file of a default place that had something and is gone; whoever else has a [`Trust`] read again
/// shares what was said.
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
    let mut watched: Vec<Watched> = items.into_iter().map(Watched::from).collect();
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

enum Watched {
    #[cfg(feature = "secure-listen")]
    Server(Arc<ServerTls>, Told),
    // It says itself what it finds: others have it read again as well.
    Trust(Arc<Trust>),
}

impl From<Reloadable> for Watched {
    fn from(item: Reloadable) -> Self {
        match item {
            #[cfg(feature = "secure-listen")]
            Reloadable::Server(server) => {
                Self::Server(server, Told::new("serving certificate", None))
            }
            Reloadable::Trust(trust) => Self::Trust(trust),
        }
    }
}

impl Watched {
    fn check(&mut self) {
        match self {
            #[cfg(feature = "secure-listen")]
            Self::Server(server, told) => match server.reload() {
                Ok(reload) => told.tell(reload, None),
                Err(error) => told.tell(Reload::Same, Some(logging::chain(&error))),
            },
            Self::Trust(trust) => drop(trust.reload()),
        }
    }
}

/// What was said of some files: each thing once.
#[derive(Debug)]
pub(super) struct Told {
    what: &'static str,
    // What was last said to be wrong.
    broken: Option<String>,
}

impl Told {
    /// Of files of which this was said already.
    pub(super) fn new(what: &'static str, broken: Option<String>) -> Self {
        Self { what, broken }
    }

    #[cfg(test)]
    pub(super) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Says what a reading found, and what is broken, unless that was said.
    pub(super) fn tell(&mut self, reload: Reload, broken: Option<String>) {
        let what = self.what;
        if reload == Reload::Changed {
            tracing::info!(what, "certificate files changed and are in use");
        }
        match &broken {
            Some(error) if self.broken.as_ref() != Some(error) => {
                tracing::warn!(
                    what,
                    error,
                    "certificate files are broken, the old ones stay"
                );
            }
            None if self.broken.is_some() && reload == Reload::Same => {
                tracing::info!(what, "certificate files are valid again and unchanged");
            }
            _ => {}
        }
        self.broken = broken;
    }
}
