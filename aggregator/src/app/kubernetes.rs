//! The wiring of what asks the Kubernetes API: the watch, and the reviews of agents and readers.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use cairn_runtime::clock::Clock;
use cairn_runtime::exit::Failure;
use cairn_runtime::logging;
use cairn_runtime::readiness::Readiness;
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::Supervisor;
use cairn_runtime::tls::{self, Trust, TrustFiles};
use prometheus_client::registry::Registry;

use super::https::Access;
use super::serving::Served;
use crate::access::{self, Follow, Reviews, Rights, Tokens};
use crate::api::{HELD, Start};
use crate::certificates::{self, Keeper};
use crate::cluster::authority::Authority;
use crate::cluster::replicas::Endpoints;
use crate::cluster::{Client, Cluster, Known, Metrics, Watch};
use crate::config::{ApiServer, Config, Ingest, Kubernetes};
use crate::ingest::{Authenticator, Clients, Reviewer, Rules};
use crate::upkeep;

/// What is known of the cluster: nothing yet, or nothing ever.
pub(super) fn cluster(kubernetes: &Kubernetes) -> Cluster {
    match kubernetes {
        Kubernetes::Watched(api) => {
            tracing::info!(api = api.host.authority(), "nodes and pods are watched");
            Cluster::watched(Arc::new(Known::default()))
        }
        Kubernetes::Off(why) => {
            tracing::info!(
                why,
                "nodes and pods are not watched: what agents say is all that is known"
            );
            Cluster::off()
        }
    }
}

/// What agents are known by, where that stands in files.
pub(super) enum ByFile {
    /// A file of tokens.
    Tokens(Authenticator),
    /// CAs of client certificates.
    Certificates(Arc<Trust>),
}

/// Reads what agents are known by, before anything is bound; `None` when that is no file.
pub(super) fn by_file(config: &Config) -> Result<Option<ByFile>, Failure> {
    match &config.ingest {
        Ingest::TokenFile(path) => {
            let file = Authenticator::token_file(path.clone());
            let file = file.map_err(|e| Failure::config(&e))?;
            Ok(Some(ByFile::Tokens(file)))
        }
        Ingest::Mtls(ca) => {
            let trust = Trust::load(TrustFiles {
                ca: ca.clone(),
                ..TrustFiles::default()
            });
            let trust = trust.map_err(|e| {
                let why = logging::chain(&e);
                Failure::Config(format!("--ingest-client-ca: {why}"))
            })?;
            of_its_own(config, &trust)?;
            Ok(Some(ByFile::Certificates(trust)))
        }
        Ingest::TokenReview(_) | Ingest::None => Ok(None),
    }
}

/// Refuses a CA for agents that signs for others too: whoever gets a certificate with a node's name from
/// it could report that node.
fn of_its_own(config: &Config, agents: &Trust) -> Result<(), Failure> {
    let api = match &config.kubernetes {
        Kubernetes::Watched(api) => Some(("the Kubernetes API (--kubernetes-ca)", &api.host.trust)),
        Kubernetes::Off(_) => None,
    };
    let load = |file: Option<&Path>| {
        let files = TrustFiles {
            ca: vec![file?.to_owned()],
            ..TrustFiles::default()
        };
        // What is wrong with it is said where it is used.
        Trust::load(files).ok()
    };
    let clients = load(config.https.client_ca.as_deref());
    let proxy = load(config.https.proxy_ca.as_deref());
    let others = api
        .into_iter()
        .chain(clients.iter().map(|ca| ("--client-ca-file", ca)))
        .chain(
            proxy
                .iter()
                .map(|ca| ("--requestheader-client-ca-file", ca)),
        );
    for (whose, other) in others {
        if agents.shares_authority(other) {
            return Err(Failure::Config(format!(
                "--ingest-client-ca has a CA of {whose}, and whoever else that signs for could report a \
                 node: make a CA for the agents alone"
            )));
        }
    }
    Ok(())
}

/// The Kubernetes API, where there is one.
pub(super) struct Asked<'a> {
    config: &'a Config,
    cluster: Cluster,
    api: Option<(&'a ApiServer, Client)>,
    readiness: Readiness,
    token: Token,
}

impl<'a> Asked<'a> {
    pub(super) fn new(
        config: &'a Config,
        cluster: Cluster,
        readiness: &Readiness,
        token: &Token,
    ) -> Self {
        let api = match &config.kubernetes {
            Kubernetes::Watched(api) => Some((api, Client::new(api))),
            Kubernetes::Off(_) => None,
        };
        Self {
            config,
            cluster,
            api,
            readiness: readiness.clone(),
            token: token.clone(),
        }
    }

    /// Starts the watch.
    pub(super) fn start_watch(&self, supervisor: &mut Supervisor, registry: &mut Registry) {
        let (Some((api, client)), Some(known)) = (&self.api, self.cluster.shared()) else {
            return;
        };
        let trust = vec![Arc::clone(&api.host.trust).into()];
        let reload = tls::reload_loop(trust, upkeep::RELOAD, self.token.clone());
        supervisor.spawn("Kubernetes CA", reload);
        let metrics = Metrics::new(registry, Arc::clone(&known));
        let watch = Watch {
            client: client.clone(),
            known,
            metrics,
            readiness: self.readiness.clone(),
            token: self.token.clone(),
        };
        watch.start(supervisor);
    }

    /// Starts what looks after the certificate, where it is made here.
    pub(super) fn certificates(
        &self,
        served: &Served,
        supervisor: &mut Supervisor,
        registry: &mut Registry,
        clock: &Clock,
    ) -> Result<(), Failure> {
        let Some((managed, identity)) = &served.own else {
            return Ok(());
        };
        let Some((_, client)) = &self.api else {
            let text = "--tls-self-managed needs the Kubernetes API";
            return Err(Failure::Config(text.to_owned()));
        };
        let peers = &self.config.peers;
        let trust = peers.trust.clone().filter(|_| peers.own_ca);
        let keeper = Keeper::new(certificates::Parts {
            config: managed.clone(),
            api: Arc::new(client.clone()),
            clock: clock.clone(),
            identity: Arc::clone(identity),
            trust: trust.unwrap_or_else(Trust::empty),
            readiness: self.readiness.clone(),
            metrics: certificates::Metrics::new(registry),
        });
        supervisor.spawn("certificates", keeper.run(self.token.clone()));
        Ok(())
    }

    /// Who knows the agents; what it does behind them is started.
    pub(super) fn agents(
        &self,
        by_file: Option<ByFile>,
        supervisor: &mut Supervisor,
        registry: &mut Registry,
        clock: &Clock,
    ) -> Result<Authenticator, Failure> {
        match by_file {
            Some(ByFile::Tokens(file)) => return Ok(file),
            Some(ByFile::Certificates(trust)) => {
                return Ok(Authenticator::Certificates(Clients::new(
                    trust,
                    clock.clone(),
                )));
            }
            None => {}
        }
        let Ingest::TokenReview(accounts) = &self.config.ingest else {
            return Ok(Authenticator::None);
        };
        let Some(api) = self.authority() else {
            let text = "--ingest-auth token-review needs the Kubernetes API";
            return Err(Failure::Config(text.to_owned()));
        };
        let rules = Rules {
            audiences: vec![accounts.audience.clone()],
            agent: accounts.agent.clone(),
            peer: accounts.peer.clone(),
        };
        let reviewer = Reviewer::new(api, self.cluster.clone(), clock.clone(), rules);
        reviewer.register(registry);
        let behind = reviewer.clone();
        supervisor.spawn(
            "token reviews",
            behind.run(self.readiness.clone(), self.token.clone()),
        );
        let clock = clock.clone();
        Ok(Authenticator::TokenReview { reviewer, clock })
    }

    /// Lets readers be known by what the API server says of them.
    pub(super) fn readers(
        &self,
        supervisor: &mut Supervisor,
        registry: &mut Registry,
        access: &mut Access,
    ) {
        let Some(api) = self.authority() else {
            return;
        };
        let published = Arc::new(ArcSwapOption::empty());
        access.authenticators.published = Some(Arc::clone(&published));
        let follow = Follow {
            api: Arc::clone(&api),
            into: published,
            readiness: self.readiness.clone(),
        };
        supervisor.spawn("front proxy", follow.run(self.token.clone()));
        let metrics = access::Metrics::new(registry);
        let audiences = vec![self.config.reader_audience.clone()];
        let reviews = Reviews::new(api, audiences, metrics);
        access.authenticators.tokens = Tokens::Reviewed(reviews.clone());
        access.rights = Rights::Reviewed(reviews);
    }

    /// What holds the process back from being ready.
    pub(super) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Lets another replica that is ready hold this one back, where its Service is known.
    pub(super) fn hold(&self, start: &Start, supervisor: &mut Supervisor) {
        let (Some((_, client)), Some(service)) = (&self.api, &self.config.https.service) else {
            return;
        };
        let others = Endpoints::new(client.clone(), &service.namespace, &service.name);
        let reason = "whether another replica is ready is being asked";
        let blocker = self.readiness.block(HELD, reason);
        let held = start
            .clone()
            .hold(Arc::new(others), blocker, self.token.clone());
        supervisor.spawn("readiness beside another replica", held);
    }

    fn authority(&self) -> Option<Arc<dyn Authority>> {
        let (_, client) = self.api.as_ref()?;
        Some(Arc::new(client.clone()))
    }
}
