//! The API server in front of an aggregator: a stand-in for its part called kube-aggregator.
//!
//! Clients of Kubernetes connect to it over TLS with a bearer token that says who they are. It serves the
//! nodes and pods that it is given and what says what is served, and hands `/apis/metrics.k8s.io` on as the real one
//! does: over TLS with a client certificate of its own, having verified the aggregator by the name of its
//! Service, with the user and the groups in headers and without the client's token. A simulated API server
//! ([`crate::apiserver`]) does the same for the `APIServices` that it holds.

pub(crate) mod upstream;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use cairn_runtime::listen::{self, ListenMetrics};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tls::ServerTls;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::pki::{Ca, Leaf, Pki};
use upstream::Upstream;

/// The certificates of an API server and its front proxy.
#[derive(Debug)]
pub struct Identity {
    dir: PathBuf,
    /// Signs the front proxy's certificate, and nothing else.
    pub proxies: Ca,
    /// Shows who the front proxy is.
    pub client: Leaf,
    /// Verifies the API server.
    pub server_ca: Ca,
    server: Leaf,
}

/// Who has a bearer token.
#[derive(Clone, Debug)]
pub struct Known {
    /// The token.
    pub token: &'static str,
    /// The name.
    pub user: &'static str,
    /// The groups, beside that of everybody who has said who they are.
    pub groups: &'static [&'static str],
}

/// Everybody.
const USERS: [Known; 2] = [
    Known {
        token: "token-of-admin",
        user: "kubernetes-admin",
        groups: &["system:masters"],
    },
    Known {
        token: "token-of-jane",
        user: "jane",
        groups: &["devs"],
    },
];

/// What it serves itself, as lists.
#[derive(Clone, Debug)]
pub struct Core {
    /// A `NodeList`.
    pub nodes: Value,
    /// A `PodList`.
    pub pods: Value,
}

impl Core {
    /// The recorded nodes and pods.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub fn recorded() -> Result<Self> {
        Ok(Self {
            nodes: recorded("nodes.json")?,
            pods: recorded("pods.json")?,
        })
    }
}

/// A running one. Dropping it ends it.
#[derive(Debug)]
pub struct FrontProxy {
    /// Where it listens.
    pub addr: SocketAddr,
    dir: PathBuf,
    server_ca: PathBuf,
    token: Token,
    _runtime: Runtime,
}

impl Identity {
    /// Makes them in a directory.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn new(dir: &Path) -> Result<Self> {
        let pki = Pki::new(dir)?;
        let (proxies, server_ca) = (pki.ca("front-proxy-ca")?, pki.ca("kubernetes-ca")?);
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Ok(Self {
            dir: dir.to_owned(),
            client: proxies.leaf("front-proxy-client").client().write()?,
            server: server_ca.leaf("apiserver").ips(&[loopback]).write()?,
            proxies,
            server_ca,
        })
    }

    /// The `ConfigMap` by which an API server publishes whom it believes: these.
    ///
    /// # Errors
    ///
    /// When a certificate cannot be read.
    pub fn published(&self) -> Result<Value> {
        let text = |ca: &Ca| std::fs::read_to_string(&ca.cert_pem);
        Ok(json!({
            "kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
            "data": {
                "client-ca-file": text(&self.server_ca)?,
                "requestheader-client-ca-file": text(&self.proxies)?,
                "requestheader-allowed-names": "[\"front-proxy-client\"]",
                "requestheader-username-headers": "[\"X-Remote-User\"]",
                "requestheader-group-headers": "[\"X-Remote-Group\"]",
                "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
            },
        }))
    }

    /// The flags with which an aggregator believes this front proxy.
    #[must_use]
    pub fn aggregator_args(&self) -> Vec<String> {
        let ca = self.proxies.cert_pem.display().to_string();
        [
            "--requestheader-client-ca-file",
            &ca,
            "--requestheader-allowed-names",
            "front-proxy-client",
        ]
        .map(str::to_owned)
        .to_vec()
    }
}

impl FrontProxy {
    /// Starts one before the aggregator at this address, whose certificate must be for `host` and signed by
    /// the CA of the file.
    ///
    /// # Errors
    ///
    /// When it cannot listen, or a file does not work.
    pub fn start(
        identity: &Identity,
        aggregator: SocketAddr,
        (host, ca): (&str, &Path),
        core: Core,
    ) -> Result<Self> {
        let ca = std::fs::read(ca).with_context(|| ca.display().to_string())?;
        let upstream = Upstream::new(aggregator, host, &ca, &identity.client)?;
        let shared = Arc::new(Shared { upstream, core });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let Leaf { cert_pem, key_pem } = &identity.server;
        let tls = ServerTls::load(cert_pem, key_pem, &["h2", "http/1.1"])?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bound = runtime.block_on(listen::bind(any))?;
        let addr = bound.local_addr();
        let config = listen::Config {
            name: "front proxy",
            max_connections: 64,
            max_per_peer: 64,
            max_handshakes: 16,
            handshake_deadline: Duration::from_secs(10),
            header_deadline: Duration::from_secs(30),
            answer_deadline: Duration::from_secs(120),
            idle_deadline: Duration::from_secs(60),
            write_deadline: Duration::from_secs(30),
            max_header_bytes: 64 * 1024,
            tls: Some(tls),
            metrics: Arc::new(ListenMetrics::default()),
        };
        let token = Token::new();
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, std::convert::Infallible>(shared.answer(request).await) }
        });
        let serving = listen::serve(bound, config, service, token.clone(), Duration::ZERO);
        drop(runtime.spawn(serving));
        Ok(Self {
            addr,
            dir: identity.dir.clone(),
            server_ca: identity.server_ca.cert_pem.clone(),
            token,
            _runtime: runtime,
        })
    }

    /// Writes the configuration file of a client with this token, and says where it is.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn kubeconfig(&self, token: &str) -> Result<PathBuf> {
        let path = self.dir.join(format!("{token}.kubeconfig"));
        write_kubeconfig(&path, self.addr, &self.server_ca, token)?;
        Ok(path)
    }
}

/// Writes the configuration file of a client with this token, of a server at this address with a certificate of this
/// CA.
pub(crate) fn write_kubeconfig(
    path: &Path,
    addr: SocketAddr,
    ca: &Path,
    token: &str,
) -> Result<()> {
    let ca = ca.display().to_string();
    let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "one",
        "clusters": [{"name": "one", "cluster":
            {"server": format!("https://{addr}"), "certificate-authority": ca}}],
        "users": [{"name": "one", "user": {"token": token}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}]});
    Ok(std::fs::write(path, text.to_string())?)
}

impl Drop for FrontProxy {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

struct Shared {
    upstream: Upstream,
    core: Core,
}

type Answer = Response<Full<Bytes>>;

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (parts, _) = request.into_parts();
        let Some(user) = user(&parts.headers) else {
            return status(StatusCode::UNAUTHORIZED, "Unauthorized");
        };
        let path = parts.uri.path();
        let is_handed = ["/apis/metrics.k8s.io", "/openapi/v3"];
        if path == "/apis" || is_handed.iter().any(|root| path.starts_with(root)) {
            // What is served is asked for by the proxy itself, and handed out to everybody.
            let groups = [user.groups, &["system:authenticated"]].concat();
            let handed = self
                .upstream
                .ask((user.user, groups.as_slice()), &parts)
                .await;
            return handed.unwrap_or_else(|error| {
                status(
                    StatusCode::SERVICE_UNAVAILABLE,
                    &format!("service unavailable: {error:#}"),
                )
            });
        }
        let selected = |list: &Value| {
            let mut list = list.clone();
            if let Some(items) = list["items"].as_array_mut() {
                let namespace = path.strip_prefix("/api/v1/namespaces/");
                let namespace = namespace.and_then(|rest| rest.split('/').next());
                items.retain(|item| {
                    namespace.is_none_or(|one| item["metadata"]["namespace"] == one)
                });
            }
            json(&list)
        };
        match path {
            "/version" => json(&json!({"major": "1", "minor": "36", "gitVersion": "v1.36.2"})),
            "/api" => api(&parts.headers),
            "/api/v1" => json(&json!({"kind": "APIResourceList", "groupVersion": "v1",
                "resources": [resource("nodes", false, "Node"), resource("pods", true, "Pod")]})),
            "/api/v1/nodes" => selected(&self.core.nodes),
            path if path == "/api/v1/pods"
                || (path.starts_with("/api/v1/namespaces/") && path.ends_with("/pods")) =>
            {
                selected(&self.core.pods)
            }
            _ => status(
                StatusCode::NOT_FOUND,
                "the server could not find the requested resource",
            ),
        }
    }
}

fn resource(name: &str, namespaced: bool, kind: &str) -> Value {
    json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind,
           "verbs": ["get", "list"]})
}

/// The core group, in the form that the client asks for.
fn api(headers: &HeaderMap) -> Answer {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|text| text.to_str().ok());
    if !accept.is_some_and(|text| text.contains("as=APIGroupDiscoveryList")) {
        return json(&json!({"kind": "APIVersions", "versions": ["v1"]}));
    }
    let resource = |name: &str, kind: &str, scope: &str| {
        json!({"resource": name, "scope": scope, "singularResource": "", "verbs": ["get", "list"],
               "responseKind": {"group": "", "version": "", "kind": kind}})
    };
    let list = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {}, "items": [{"metadata": {}, "versions": [{"version": "v1", "freshness": "Current",
            "resources": [resource("nodes", "Node", "Cluster"), resource("pods", "Pod", "Namespaced")]}]}]});
    let mut answer = json(&list);
    let form = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(form));
    answer
}

/// Who has the token of a request.
fn user(headers: &HeaderMap) -> Option<Known> {
    let told = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let token = told.strip_prefix("Bearer ")?;
    USERS.into_iter().find(|known| known.token == token)
}

fn json(value: &Value) -> Answer {
    let mut answer = Response::new(Full::from(value.to_string()));
    let form = header::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, form);
    answer
}

fn status(code: StatusCode, message: &str) -> Answer {
    let mut answer = json(
        &json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": message, "code": code.as_u16()}),
    );
    *answer.status_mut() = code;
    answer
}

/// A recorded list of the API server.
fn recorded(name: &str) -> Result<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/apiserver-1.36");
    let path = root.join(name);
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_slice(&bytes)?)
}
