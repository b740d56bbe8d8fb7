//! The wiring of the HTTPS listener.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use cairn_runtime::clock::Clock;
use cairn_runtime::listen::{self, Bound, ListenMetrics};
use cairn_runtime::tasks::{Aside, Supervisor};
use cairn_runtime::tls::{self, Reloadable, ServerTls, Trust, TrustFiles};
use hyper_util::service::TowerToHyperService;

use super::DRAIN;
use super::kubernetes::Asked;
use super::serving::{self, Served};
use crate::access::{Authenticators, FrontProxy, ProxyHeaders, Rights};
use crate::api::{Api, Secure, Start, Terms, secure_router};
use crate::config::{Config, Ingest, Kubernetes};
use crate::rpc;

/// What is read of files for it.
pub(super) struct Access {
    tls: Arc<ServerTls>,
    pub(super) authenticators: Authenticators,
    pub(super) rights: Rights,
    reloaded: Vec<Reloadable>,
}

impl Access {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// The file that does not work.
    pub(super) fn load(config: &Config, served: &Served) -> Result<Self, tls::Error> {
        let tls = Arc::clone(&served.https);
        let trust = |file: &Path| {
            Trust::load(TrustFiles {
                ca: vec![file.to_owned()],
                ..TrustFiles::default()
            })
        };
        let proxy = config.https.proxy_ca.as_deref().map(trust).transpose()?;
        let clients = config.https.client_ca.as_deref().map(trust).transpose()?;
        let mut reloaded: Vec<Reloadable> = vec![Arc::clone(&tls).into()];
        reloaded.extend(
            proxy
                .iter()
                .chain(&clients)
                .map(|trust| Arc::clone(trust).into()),
        );
        let names = config.https.proxy_names.clone();
        let front_proxy = proxy.map(|trust| FrontProxy {
            trust,
            names,
            headers: vec![ProxyHeaders::default()],
        });
        let is_off = matches!(config.kubernetes, Kubernetes::Off(_));
        if front_proxy.is_none() && clients.is_none() && is_off {
            tracing::info!(
                "neither --requestheader-client-ca-file nor --client-ca-file nor a Kubernetes API: \
                 nobody can say at --https-listen who they are, and all are refused what is not for \
                 everybody"
            );
        }
        Ok(Self {
            tls,
            authenticators: Authenticators {
                front_proxy,
                clients,
                // Read from the API server once that is asked.
                published: (!is_off).then(|| Arc::new(ArcSwapOption::empty())),
                ..Authenticators::default()
            },
            rights: Rights::default(),
            reloaded,
        })
    }

    /// All that is to be read again.
    pub(super) fn reloaded(&self) -> Vec<Reloadable> {
        self.reloaded.clone()
    }

    /// The certificate that is served, who asks, and what they may.
    pub(super) fn parts(self) -> (Arc<ServerTls>, Authenticators, Rights) {
        (self.tls, self.authenticators, self.rights)
    }
}

/// By what metrics.k8s.io answers.
pub(super) fn terms(clock: &Clock, config: &Config) -> Terms {
    let agents = match &config.ingest {
        Ingest::TokenReview(accounts) => Some(&*accounts.agent),
        _ => None,
    };
    Terms {
        span_ms: super::millis(config.https.span),
        start: Start::new(clock, agents),
    }
}

/// Starts the task that says when it answers.
pub(super) fn begin(api: &Api, asked: &Asked<'_>, access: &Access, supervisor: &mut Supervisor) {
    let (start, token) = (api.terms.start.clone(), api.token.clone());
    asked.hold(&start, access, supervisor);
    let looking = start.run(api.clone(), asked.readiness().clone(), token);
    supervisor.spawn("start of metrics.k8s.io", looking);
}

/// Starts it beside the plain listener, on the threads of the readers; it takes connections once there is a
/// certificate to show.
pub(super) fn start(
    (supervisor, readers): (&mut Supervisor, &Aside),
    bound: Bound,
    secure: Secure,
    tls: Arc<ServerTls>,
    listens: &Arc<ListenMetrics>,
) {
    let token = secure.metrics.api.token.clone();
    let config = listen::Config {
        name: "https",
        max_connections: 4_096,
        // All that goes through one API server comes from its address.
        max_per_peer: 1_024,
        max_handshakes: 64,
        handshake_deadline: Duration::from_secs(5),
        // The API server keeps its connections and asks what is served every minute.
        header_deadline: Duration::from_secs(90),
        answer_deadline: Duration::from_secs(60),
        idle_deadline: Duration::from_secs(120),
        write_deadline: Duration::from_secs(30),
        // A bearer token and a user of many groups.
        max_header_bytes: 32 * 1024,
        tls: Some(Arc::clone(&tls)),
        metrics: Arc::clone(listens),
    };
    let calls = rpc::readers(secure.clone());
    let service = TowerToHyperService::new(secure_router(secure).merge(calls));
    supervisor.spawn_aside(readers, "https", async move {
        if !serving::is_there(&tls, &token).await {
            return Ok(());
        }
        listen::serve(bound, config, service, token, DRAIN).await;
        Ok(())
    });
}
