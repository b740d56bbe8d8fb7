//! Looking up a host's name: with a deadline, bounded, and saying when that begins or ceases to fail.

use std::io;
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

/// Who knows the addresses of a name.
pub trait Resolver: Send {
    /// The addresses of a name, in any order, one perhaps more than once.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    fn addresses(
        &mut self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;
}

/// What the machine itself knows: its files and its name service.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Resolver for System {
    async fn addresses(&mut self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// Looks a name up once: its addresses, sorted, no more than are asked for.
///
/// # Errors
///
/// One line for people: why there is no answer, and what to check.
pub async fn once(host: Host<'_>) -> Result<Vec<SocketAddr>, String> {
    let mut found = all(&mut System, host).await?;
    found.truncate(host.most);
    Ok(found)
}

async fn all(resolver: &mut impl Resolver, host: Host<'_>) -> Result<Vec<SocketAddr>, String> {
    let lookup = resolver.addresses(host.host, host.port);
    let why = match timeout(DEADLINE, lookup).await {
        Ok(Ok(mut found)) => {
            found.sort_unstable();
            found.dedup();
            return Ok(found);
        }
        Ok(Err(error)) => logging::chain(&error),
        Err(_) => format!("no answer within {DEADLINE:?}"),
    };
    Err(format!("{why}: check {} and the name service", host.flag))
}

/// The look-ups of one name, one after the other.
#[derive(Debug)]
pub struct Lookups<R = System> {
    resolver: R,
    failing: Option<String>,
    repeat: Repeat,
    // How many addresses there were, where that was too many.
    over: Option<usize>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self::by(System)
    }
}

impl<R: Resolver> Lookups<R> {
    /// Makes look-ups that ask this one.
    #[must_use]
    pub fn by(resolver: R) -> Self {
        Self {
            resolver,
            failing: None,
            repeat: Repeat::new(),
            over: None,
        }
    }

    /// The addresses, sorted; `None` when there is no answer, which leaves what is known in use. Why
    /// stands in the log and in a note of the readiness then; and so does that there are more than are
    /// asked for, of which the first are given.
    pub async fn resolve(
        &mut self,
        host: Host<'_>,
        readiness: &Readiness,
    ) -> Option<Vec<SocketAddr>> {
        let note = format!("{} {}", host.what, host.shown());
        let why = match all(&mut self.resolver, host).await {
            Ok(mut found) => {
                if self.failing.take().is_some() {
                    self.repeat.reset();
                    readiness.clear(&note);
                    tracing::info!(of = note, "name resolves");
                }
                self.tell_over(&note, host, found.len(), readiness);
                found.truncate(host.most);
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

    /// Says when a name has more addresses than are used, and when it has no longer.
    fn tell_over(&mut self, name: &str, host: Host<'_>, count: usize, readiness: &Readiness) {
        let over = (count > host.most).then_some(count);
        if self.over == over {
            return;
        }
        self.over = over;
        let note = format!("addresses of {name}");
        if over.is_none() {
            readiness.clear(&note);
            return;
        }
        let (most, flag) = (host.most, host.flag);
        let reason = format!(
            "the name has {count} addresses, of which the first {most} are used: check {flag}, and name \
             fewer replicas by it"
        );
        tracing::warn!(of = name, reason, "name has too many addresses");
        readiness.note(note, Note::Degraded(reason));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;

    use super::{Host, Lookups, Resolver};
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

    /// A name with so many addresses, told backwards and twice.
    struct Many(u8);

    impl Resolver for Many {
        async fn addresses(&mut self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            let address = |last| SocketAddr::from(([10, 0, 0, last], port));
            let all = (0..self.0).rev().map(address);
            Ok(all.clone().chain(all).collect())
        }
    }

    #[tokio::test]
    async fn of_more_addresses_than_are_asked_for_the_first_are_given_and_it_is_said() {
        let (mut lookups, readiness) = (Lookups::by(Many(6)), Readiness::new());
        let found = lookups.resolve(host("many"), &readiness).await.unwrap();
        let last = |address: &SocketAddr| address.to_string();
        let expected = [
            "10.0.0.0:8443",
            "10.0.0.1:8443",
            "10.0.0.2:8443",
            "10.0.0.3:8443",
        ];
        assert_eq!(found.iter().map(last).collect::<Vec<_>>(), expected);
        let said = readiness.render(true).1;
        assert!(said.contains("peer many:8443"), "{said}");
        assert!(
            said.contains("has 6 addresses, of which the first 4 are used: check --peer"),
            "{said}"
        );
        lookups.resolver = Many(4);
        let found = lookups.resolve(host("many"), &readiness).await;
        assert_eq!(found.map(|found| found.len()), Some(4));
        let said = readiness.render(true).1;
        assert!(!said.contains("many"), "{said}");
    }
}
