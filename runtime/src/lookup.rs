//! Looking up a host's name: with a deadline, bounded, and saying when that begins or ceases to fail.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::logging::{self, Repeat};
use crate::readiness::{Note, Readiness};

/// How long the name service may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Which name is looked up, and how people are told of it.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    /// What is there, in one word: `aggregator`, `peer`.
    pub what: &'static str,
    /// The flag that names it.
    pub flag: &'static str,
    /// Name or address.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
    /// At most so many addresses are given.
    pub most: usize,
}

impl Host<'_> {
    fn shown(&self) -> String {
        match self.host {
            address if address.contains(':') => format!("[{address}]:{}", self.port),
            name => format!("{name}:{}", self.port),
        }
    }
}

/// Looks a name up once: its addresses, sorted.
///
/// # Errors
///
/// One line for people: why there is no answer, and what to check.
pub async fn once(host: Host<'_>) -> Result<Vec<SocketAddr>, String> {
    let lookup = tokio::net::lookup_host((host.host, host.port));
    let why = match timeout(DEADLINE, lookup).await {
        Ok(Ok(found)) => {
            let mut found: Vec<SocketAddr> = found.collect();
            found.sort_unstable();
            found.dedup();
            found.truncate(host.most);
            return Ok(found);
        }
        Ok(Err(error)) => logging::chain(&error),
        Err(_) => format!("no answer within {DEADLINE:?}"),
    };
    Err(format!("{why}: check {} and the name service", host.flag))
}

/// The look-ups of one name, one after the other.
#[derive(Debug, Default)]
pub struct Lookups {
    failing: Option<String>,
    repeat: Repeat,
}

impl Lookups {
    /// The addresses, sorted; `None` when there is no answer, which leaves what is known in use. Why
    /// stands in the log and in a note of the readiness then.
    pub async fn resolve(
        &mut self,
        host: Host<'_>,
        readiness: &Readiness,
    ) -> Option<Vec<SocketAddr>> {
        let note = format!("{} {}", host.what, host.shown());
        let why = match once(host).await {
            Ok(found) => {
                if self.failing.take().is_some() {
                    self.repeat.reset();
                    readiness.clear(&note);
                    tracing::info!(of = note, "name resolves");
                }
                return Some(found);
            }
            Err(why) => why,
        };
        let changed = self.failing.as_ref() != Some(&why);
        if let Some(held_back) = self.repeat.should_log(Instant::now(), changed) {
            let reason = why.clone();
            tracing::warn!(of = note, reason, held_back, "name does not resolve");
            readiness.note(note, Note::Degraded(reason));
        }
        self.failing = Some(why);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Host, Lookups};
    use crate::readiness::Readiness;

    fn host(host: &str) -> Host<'_> {
        Host {
            what: "peer",
            flag: "--peer",
            host,
            port: 8443,
            most: 4,
        }
    }

    #[tokio::test]
    async fn a_name_that_fails_is_told_until_it_resolves() {
        let (mut lookups, readiness) = (Lookups::default(), Readiness::new());
        // A space is in no name, so no name service is asked.
        assert_eq!(lookups.resolve(host("no name"), &readiness).await, None);
        let said = readiness.render(true).1;
        assert!(said.contains("peer no name:8443"), "{said}");
        assert!(said.contains("check --peer"), "{said}");
        let found = lookups.resolve(host("::1"), &readiness).await;
        assert_eq!(found, Some(vec!["[::1]:8443".parse().unwrap()]));
    }
}
