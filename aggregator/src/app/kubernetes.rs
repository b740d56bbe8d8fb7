//! The wiring of what asks the Kubernetes API: the watch, and the reviews of agents and readers.

use std::sync::Arc;

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
use crate::access::{self, Authenticators, Follow, Published, Reviews, Rights, Tokens};
use crate::api::{HELD, Start};
use crate::certificates::{self, Keeper};
use crate::cluster::authority::Authority;
use crate::cluster::replicas::Endpoints;
use crate::cluster::{Client, Cluster, Known, Metrics, Watch};
use crate::config::{ApiServer, Config, Ingest, Kubernetes};
use crate::ingest::{Authenticator, Clients, Elsewhere, OwnCa, Reviewer, Rules};
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
    Certificates(Arc<OwnCa>),
}

/// Reads what agents are known by, before anything is bound; `None` when that is no file.
pub(super) fn by_file(config: &Config, access: &Access) -> Result<Option<ByFile>, Failure> {
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
            let own = OwnCa::new(trust, elsewhere(config, &access.authenticators));
            match own.shared() {
                Some(text) => Err(Failure::Config(text.to_string())),
                None => Ok(Some(ByFile::Certificates(Arc::new(own)))),
            }
        }
        Ingest::TokenReview(_) | Ingest::None => Ok(None),
    }
}

/// All CAs beside those of agents, as they are at each moment.
fn elsewhere(config: &Config, readers: &Authenticators) -> Vec<Elsewhere> {
    let fixed = |name, trust: &Arc<Trust>| {
        let trust = Arc::clone(trust);
        Elsewhere::new(name, move || Some(Arc::clone(&trust)))
    };
    let mut all = Vec::new();
    if let Kubernetes::Watched(api) = &config.kubernetes {
        all.push(fixed("--kubernetes-ca", &api.host.trust));
    }
    let clients = readers.clients.iter();
    all.extend(clients.map(|trust| fixed("--client-ca-file", trust)));
    let proxy = readers.front_proxy.iter();
    all.extend(proxy.map(|proxy| fixed("--requestheader-client-ca-file", &proxy.trust)));
    let Some(published) = &readers.published else {
        return all;
    };
    let mut said = |name, of: fn(&Published) -> Option<&Arc<Trust>>| {
        let published = Arc::clone(published);
        let current = move || of(published.load().as_deref()?).map(Arc::clone);
        all.push(Elsewhere::new(name, current));
    };
    said(
        "client-ca-file of ConfigMap kube-system/extension-apiserver-authentication",
        |published| published.clients.as_ref(),
    );
    said(
        "requestheader-client-ca-file of ConfigMap kube-system/extension-apiserver-authentication",
        |published| published.front_proxy.as_ref().map(|proxy| &proxy.trust),
    );
    all
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
            Some(ByFile::Certificates(ca)) => {
                let told = Arc::clone(&ca).run(self.readiness.clone(), self.token.clone());
                supervisor.spawn("CA of agents", told);
                return Ok(Authenticator::Certificates(Clients::new(ca, clock.clone())));
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
        let (Some(api), Some(published)) = (self.authority(), &access.authenticators.published)
        else {
            return;
        };
        let follow = Follow {
            api: Arc::clone(&api),
            into: Arc::clone(published),
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
    pub(super) fn hold(&self, start: &Start, access: &Access, supervisor: &mut Supervisor) {
        let (Some((_, client)), Some(service)) = (&self.api, &self.config.https.service) else {
            return;
        };
        let others = Endpoints::new(client.clone(), &service.namespace, &service.name);
        let reason = "whether another replica is ready is being asked";
        let blocker = self.readiness.block(HELD, reason);
        let proxy = access.authenticators.awaited().cloned();
        let held = start
            .clone()
            .hold(Arc::new(others), proxy, (blocker, self.token.clone()));
        supervisor.spawn("readiness beside another replica", held);
    }

    fn authority(&self) -> Option<Arc<dyn Authority>> {
        let (_, client) = self.api.as_ref()?;
        Some(Arc::new(client.clone()))
    }
}
