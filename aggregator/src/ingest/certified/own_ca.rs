//! Whether the CAs of agents' certificates sign for agents alone.
//!
//! Whoever gets a certificate with a node's name of a CA that signs for others too could report that node. So the CAs
//! are compared, by their keys, with all others that something is known by here, whenever one of them is another
//! than before. They are looked at when a stream begins and at each of its frames, which costs a few comparisons of
//! pointers; a task tells what was found.

use std::fmt;
use std::iter::once;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use cairn_runtime::clock::ticker;
use cairn_runtime::readiness::{Note, Readiness};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::TaskError;
use cairn_runtime::tls::Trust;

/// How soon it is told: agents are refused at once.
const LOOK: Duration = Duration::from_secs(5);

/// The name of its note in `/readyz?verbose`.
const NOTE: &str = "agents' CA";

/// CAs of somebody else's, as they are at each moment.
type Current = Box<dyn Fn() -> Option<Arc<Trust>> + Send + Sync>;

/// Where CAs are trusted for something else than agents.
pub struct Elsewhere {
    name: &'static str,
    current: Current,
}

impl Elsewhere {
    /// CAs of a flag or an object that people know by this name; `current` has none while they are not known.
    pub fn new(
        name: &'static str,
        current: impl Fn() -> Option<Arc<Trust>> + Send + Sync + 'static,
    ) -> Self {
        let current = Box::new(current);
        Self { name, current }
    }
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Elsewhere").field(&self.name).finish()
    }
}

/// The CAs of agents, which shall be nobody else's.
#[derive(Debug)]
pub struct OwnCa {
    pub(super) trust: Arc<Trust>,
    elsewhere: Vec<Elsewhere>,
    judged: ArcSwapOption<Judged>,
}

#[derive(Debug)]
struct Judged {
    // The agents', then those of elsewhere in their order.
    by: Vec<Option<Reading>>,
    shared: Option<Arc<str>>,
}

/// Some CAs as they were read.
#[derive(Clone, Debug)]
struct Reading {
    trust: Arc<Trust>,
    version: u64,
}

impl Reading {
    fn of(trust: Arc<Trust>) -> Self {
        // Before they are compared: what is read meanwhile is looked at again.
        let version = trust.version();
        Self { trust, version }
    }
}

impl PartialEq for Reading {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.trust, &other.trust) && self.version == other.version
    }
}

impl OwnCa {
    /// The CAs of agents, and all others that there are.
    #[must_use]
    pub fn new(trust: Arc<Trust>, elsewhere: Vec<Elsewhere>) -> Self {
        let judged = ArcSwapOption::empty();
        Self {
            trust,
            elsewhere,
            judged,
        }
    }

    fn readings(&self) -> impl Iterator<Item = Option<Reading>> {
        let elsewhere = self.elsewhere.iter().map(|one| (one.current)());
        let all = once(Some(Arc::clone(&self.trust))).chain(elsewhere);
        all.map(|trust| trust.map(Reading::of))
    }

    /// What is wrong and what to do, while a CA of agents is somebody else's too. What is not known yet of others
    /// counts as nothing.
    #[must_use]
    pub fn shared(&self) -> Option<Arc<str>> {
        let judged = self.judged.load();
        if let Some(judged) = judged.as_deref()
            && self.readings().zip(&judged.by).all(|(now, by)| now == *by)
        {
            return judged.shared.clone();
        }
        let by: Vec<Option<Reading>> = self.readings().collect();
        let shared = self.compare(&by).map(Arc::from);
        self.judged.store(Some(Arc::new(Judged {
            by,
            shared: shared.clone(),
        })));
        shared
    }

    fn compare(&self, by: &[Option<Reading>]) -> Option<String> {
        let others = self.elsewhere.iter().zip(by.iter().skip(1));
        let shared = others.filter_map(|(one, reading)| {
            let ca = self.trust.shared_authority(&reading.as_ref()?.trust)?;
            Some(format!("{ca} is in {} too", one.name))
        });
        let shared: Vec<String> = shared.collect();
        (!shared.is_empty()).then(|| {
            format!(
                "--ingest-client-ca has a CA that is not for agents alone ({}), and whoever else it signs for could \
                 report a node, so no agent is known by its certificate: make a CA for the agents alone, give them \
                 certificates of it, and put it into the file of --ingest-client-ca in the place of the other",
                shared.join("; ")
            )
        })
    }

    /// Tells in the log and in `/readyz?verbose` what is wrong, when it begins and when it is over, until it is told to
    /// stop.
    ///
    /// # Errors
    ///
    /// None.
    pub async fn run(self: Arc<Self>, readiness: Readiness, stop: Token) -> Result<(), TaskError> {
        let mut ticker = ticker(LOOK);
        let mut told = None;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                _ = ticker.tick() => {}
            }
            let shared = self.shared();
            if shared == told {
                continue;
            }
            if let Some(text) = &shared {
                tracing::error!("{text}");
                readiness.note(NOTE, Note::Degraded(text.to_string()));
            } else {
                tracing::info!(
                    "the CAs of --ingest-client-ca sign for agents alone again: certificates are taken"
                );
                readiness.clear(NOTE);
            }
            told = shared;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cairn_runtime::tls::TrustFiles;
    use testkit::pki::Pki;

    use super::*;

    fn trust(file: &Path) -> Arc<Trust> {
        let ca = vec![file.to_owned()];
        Trust::load(TrustFiles {
            ca,
            ..TrustFiles::default()
        })
        .unwrap()
    }

    /// What is published, and the CAs of agents beside it and beside those of a flag.
    fn own_ca(agents: &Path, flag: &Path) -> (Arc<ArcSwapOption<Trust>>, Arc<OwnCa>) {
        let published = Arc::new(ArcSwapOption::<Trust>::empty());
        let (shown, flag) = (Arc::clone(&published), trust(flag));
        let elsewhere = vec![
            Elsewhere::new("--flag", move || Some(Arc::clone(&flag))),
            Elsewhere::new("the object", move || shown.load_full()),
        ];
        (published, Arc::new(OwnCa::new(trust(agents), elsewhere)))
    }

    #[test]
    fn a_ca_is_known_again_by_its_key_whichever_side_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::new(dir.path()).unwrap();
        let [agents, cluster, flag] =
            ["agents", "cluster", "flag"].map(|name| pki.ca(name).unwrap());
        let file = dir.path().join("file.pem");
        std::fs::copy(&agents.cert_pem, &file).unwrap();
        let (published, own) = own_ca(&file, &flag.cert_pem);
        assert_eq!(own.shared(), None);
        published.store(Some(trust(&cluster.cert_pem)));
        assert_eq!(own.shared(), None);
        // Another certificate of the same key, under another name.
        let renewed = agents.again("renewed", "kubernetes").unwrap();
        published.store(Some(trust(&renewed)));
        let text = own.shared().unwrap();
        let both = "--ingest-client-ca has a CA that is not for agents alone (agents is in the object too)";
        assert!(text.starts_with(both), "{text}");
        published.store(Some(trust(&cluster.cert_pem)));
        assert_eq!(own.shared(), None);
        // The agents' file: their own CA, and below it those of both others.
        let all =
            [&agents, &cluster, &flag].map(|ca| std::fs::read_to_string(&ca.cert_pem).unwrap());
        std::fs::write(&file, all.concat()).unwrap();
        own.trust.reload().unwrap();
        let text = own.shared().unwrap();
        let both = "(flag is in --flag too; cluster is in the object too)";
        assert!(text.contains(both), "{text}");
        std::fs::write(&file, &all[0]).unwrap();
        own.trust.reload().unwrap();
        assert_eq!(own.shared(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_told_as_long_as_it_is_so() {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::new(dir.path()).unwrap();
        let [agents, flag] = ["agents", "flag"].map(|name| pki.ca(name).unwrap());
        let (published, own) = own_ca(&agents.cert_pem, &flag.cert_pem);
        let (readiness, stop) = (Readiness::new(), Token::new());
        let running = Arc::clone(&own).run(readiness.clone(), stop.clone());
        let looking = async {
            for (now, notes) in [(None, 0), (Some(trust(&agents.cert_pem)), 1), (None, 0)] {
                published.store(now);
                tokio::time::sleep(2 * LOOK).await;
                assert_eq!(readiness.degraded().len(), notes);
            }
            stop.cancel();
        };
        let (ended, ()) = tokio::join!(running, looking);
        ended.unwrap();
    }
}
