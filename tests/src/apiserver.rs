//! A simulated API server of Kubernetes: the recorded objects, which a test puts, changes and deletes,
//! behind TLS and bearer tokens, with faults on demand.
//!
//! It lists in pages and watches as the real one does, takes writes of single objects by the version that was
//! read, and reviews tokens and rights. A stock kubectl applies, deletes, waits and reads. Answers are made on
//! a thread of the simulator's own; whoever drops it ends it and every connection.
//!
//! ```text
//! objects    what there is, and every change in order
//! watching   a watch: changes after a version, bookmarks, the end
//! signer     tokens as they are signed, and the keys that an API server publishes
//! review     TokenReview and SubjectAccessReview, and the tokens to review
//! rbac       who may do what, by the roles and bindings that a test gives it
//! selecting  label and field selectors of lists and watches
//! kinds      the kinds that are served, and where their objects are found
//! storing    objects of any kind: created, replaced, patched and deleted
//! merging    merge patches and strategic ones
//! writing    by which version, and who owns which field
//! discovery  what is served
//! aggregating  groups of APIs that somebody else serves: kube-aggregator
//! fault      what is broken, for how many requests
//! routes     a request becomes one of these
//! ```

mod aggregating;
mod answer;
mod control;
mod discovery;
mod fault;
mod kinds;
mod merging;
mod objects;
mod rbac;
mod review;
mod routes;
mod selecting;
mod signer;
mod storing;
mod watching;
mod writing;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use cairn_runtime::listen::{self, ListenMetrics};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tls::ServerTls;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::front_proxy::write_kubeconfig;
use crate::pki::{Leaf, Pki};

pub use aggregating::Stub;
pub use control::{Control, recorded};
pub use fault::Fault;
pub use review::{Minted, Permit};
pub use signer::Signer;

/// The name that its certificate has, as that of every API server.
pub const SERVER_NAME: &str = "kubernetes.default.svc";

/// The token of the service account that the aggregator runs as.
pub const TOKEN: &str = "aggregator-token";

/// More connections than the aggregators of a test open.
const MOST_CONNECTIONS: usize = 256;

/// How long a port that was given up may take to be free again.
const REBIND_DEADLINE: Duration = Duration::from_secs(10);

/// How long it rests between two attempts to have its port again.
const REBIND_REST: Duration = Duration::from_millis(20);

/// A running one. Dropping it ends it and every connection.
#[derive(Debug)]
pub struct ApiServer {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The CA that its certificate ends at.
    pub ca: PathBuf,
    /// Holds [`TOKEN`].
    pub token_file: PathBuf,
    control: Control,
    away: watch::Sender<bool>,
    token: Token,
    runtime: Runtime,
}

impl ApiServer {
    /// Starts one with the recorded nodes, namespaces and pods. Its certificate and the token's file are
    /// written into this directory.
    ///
    /// # Errors
    ///
    /// When it cannot write or listen.
    pub fn start(dir: &Path) -> Result<Self> {
        let control = Control::recorded()?;
        Self::serving(dir, control)
    }

    /// Starts one that has nothing yet.
    ///
    /// # Errors
    ///
    /// As [`ApiServer::start`].
    pub fn empty(dir: &Path) -> Result<Self> {
        Self::serving(dir, Control::default())
    }

    fn serving(dir: &Path, control: Control) -> Result<Self> {
        let dir = dir.join("apiserver");
        let ca = Pki::new(&dir)?.ca("kubernetes-ca")?;
        let leaf = ca
            .leaf("apiserver")
            .dns(&[SERVER_NAME, "localhost"])
            .ips(&[IpAddr::V4(Ipv4Addr::LOCALHOST)])
            .write()?;
        let token_file = dir.join("token");
        std::fs::write(&token_file, TOKEN)?;
        control.let_in(TOKEN);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let tls = ServerTls::load(&leaf.cert_pem, &leaf.key_pem, &["h2", "http/1.1"])?;
        let bound = runtime.block_on(listen::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))?;
        let addr = bound.local_addr();
        let (away, token) = (watch::Sender::new(false), Token::new());
        let serving = serve(
            bound,
            tls,
            control.clone(),
            (away.subscribe(), token.clone()),
        );
        drop(runtime.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(error = format!("{error:#}"), "API server ended");
            }
        }));
        Ok(Self {
            addr,
            ca: ca.cert_pem,
            token_file,
            control,
            away,
            token,
            runtime,
        })
    }

    /// The handle by which a test looks at it, changes what it has, and breaks it.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Hands requests for groups that an `APIService` names on to its Service, with this client certificate, from
    /// now on.
    pub fn aggregate(&self, client: Leaf) {
        self.control.set_proxy(client);
        let looking = aggregating::look_after(self.control.clone());
        drop(self.runtime.spawn(looking));
    }

    /// Writes the configuration file of a client with this token into its own directory, and says where it is.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn kubeconfig(&self, token: &str) -> Result<PathBuf> {
        let path = self
            .token_file
            .with_file_name(format!("{token}.kubeconfig"));
        write_kubeconfig(&path, self.addr, &self.ca, token)?;
        Ok(path)
    }

    /// Cuts every connection, and refuses new ones until it is back.
    pub fn go_away(&self) {
        self.away.send_replace(true);
    }

    /// Listens again, at the same address.
    pub fn come_back(&self) {
        self.away.send_replace(false);
    }

    /// The flags by which an aggregator finds it.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let ca = self.ca.display().to_string();
        let token = self.token_file.display().to_string();
        let api = format!("https://{}", self.addr);
        let flags = ["--kubernetes-api", &api, "--kubernetes-ca", &ca];
        let flags = flags.into_iter().chain(["--kubernetes-token-file", &token]);
        flags.map(str::to_owned).collect()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

/// Serves until the token is cancelled, with breaks while it is away.
async fn serve(
    mut bound: listen::Bound,
    tls: Arc<ServerTls>,
    control: Control,
    (mut away, token): (watch::Receiver<bool>, Token),
) -> Result<()> {
    let addr = bound.local_addr();
    loop {
        let life = token.child_token();
        let service = {
            let control = control.clone();
            hyper::service::service_fn(move |request| routes::answer(control.clone(), request))
        };
        let config = listen_config(Arc::clone(&tls));
        let serving = listen::serve(bound, config, service, life.clone(), Duration::ZERO);
        let leaves = async {
            // Its sender lives as long as the simulator.
            drop(away.wait_for(|away| *away).await);
            life.cancel();
        };
        tokio::join!(serving, async {
            tokio::select! {
                () = leaves => {}
                () = token.cancelled() => {}
            }
        });
        let back = tokio::select! {
            () = token.cancelled() => return Ok(()),
            back = away.wait_for(|away| !*away) => back.is_ok(),
        };
        if !back {
            return Ok(());
        }
        let again = tokio::time::timeout(REBIND_DEADLINE, bind_again(addr)).await;
        bound = again.context("the port was not free again in time")?;
    }
}

/// Somebody may have the port for a moment: the kernel, or another process of the test.
async fn bind_again(addr: SocketAddr) -> listen::Bound {
    loop {
        match listen::bind(addr).await {
            Ok(bound) => return bound,
            Err(_) => tokio::time::sleep(REBIND_REST).await,
        }
    }
}

fn listen_config(tls: Arc<ServerTls>) -> listen::Config {
    listen::Config {
        name: "apiserver",
        max_connections: MOST_CONNECTIONS,
        max_per_peer: MOST_CONNECTIONS,
        max_handshakes: MOST_CONNECTIONS,
        handshake_deadline: Duration::from_secs(5),
        header_deadline: Duration::from_secs(90),
        answer_deadline: Duration::from_secs(600),
        idle_deadline: Duration::from_secs(90),
        write_deadline: Duration::from_secs(30),
        max_header_bytes: 32 * 1024,
        tls: Some(tls),
        metrics: Arc::new(ListenMetrics::default()),
    }
}

#[cfg(test)]
mod tests;
