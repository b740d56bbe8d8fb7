//! Requests as they come in: who is let in, and what each is told.

mod described;
mod reading;
mod waiting;

use axum::body::Body;
use cairn_runtime::readiness::Readiness;
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::Supervisor;
use cairn_runtime::tls::{CertificateDer, PeerCertificates, Trust, TrustFiles};
use http_body_util::BodyExt as _;
use rustls_pki_types::pem::PemObject as _;
use std::path::Path;
use std::sync::Arc;
use testkit::pki::{Ca, Leaf, Pki};
use tower_service::Service as _;

use super::super::Api;
use super::super::tests::window::{Says, USUAL, def, pod, window};
use super::*;
use crate::access::{FrontProxy, ProxyHeaders};
use cairn_proto::catalogue::EntityKind;

/// An answer.
pub(in super::super) struct Told {
    pub(in super::super) status: u16,
    pub(in super::super) headers: http::HeaderMap,
    pub(in super::super) body: Vec<u8>,
}

impl Told {
    pub(in super::super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(in super::super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The listener, and certificates for it.
pub(in super::super) struct Listener {
    pub(in super::super) secure: Secure,
    pub(in super::super) plain: Api,
    proxies: Ca,
    others: Ca,
    _dir: tempfile::TempDir,
}

fn trust(file: &Path) -> Arc<Trust> {
    Trust::load(TrustFiles {
        ca: vec![file.to_owned()],
        ..TrustFiles::default()
    })
    .unwrap()
}

fn shown(leaf: &Leaf) -> Arc<PeerCertificates> {
    let chain = CertificateDer::pem_file_iter(&leaf.cert_pem).unwrap();
    Arc::new(PeerCertificates {
        chain: chain.collect::<Result<_, _>>().unwrap(),
    })
}

impl Listener {
    pub(in super::super) fn of(api: Api) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::new(dir.path()).unwrap();
        let (proxies, others) = (pki.ca("proxies").unwrap(), pki.ca("others").unwrap());
        let authenticators = Authenticators {
            front_proxy: Some(FrontProxy {
                trust: trust(&proxies.cert_pem),
                names: vec!["front-proxy-client".to_owned()],
                headers: vec![ProxyHeaders::default()],
            }),
            ..Authenticators::default()
        };
        let metrics = MetricsApi { api: api.apart() };
        let secure = Secure {
            api: api.apart(),
            metrics,
            authenticators,
            rights: Rights::default(),
            wellness: Wellness {
                readiness: Readiness::new(),
                health: Supervisor::new(Token::new()).health(),
            },
        };
        Self {
            secure,
            proxies,
            others,
            plain: api,
            _dir: dir,
        }
    }

    fn proxy(&self) -> Option<Arc<PeerCertificates>> {
        let leaf = self.proxies.leaf("front-proxy-client").client();
        Some(shown(&leaf.write().unwrap()))
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        shown: Option<Arc<PeerCertificates>>,
    ) -> Told {
        let answered = self.begin(method, path, headers, shown).await;
        let (parts, body) = answered.into_parts();
        Told {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    /// Asks, and does not read the answer yet.
    async fn begin(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        shown: Option<Arc<PeerCertificates>>,
    ) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request, shown).await
    }

    async fn send(
        &self,
        request: http::request::Builder,
        shown: Option<Arc<PeerCertificates>>,
    ) -> Response {
        let address = "192.0.2.1:1".parse().unwrap();
        let request = request.extension(Peer {
            addr: address,
            local: address,
            tls: shown,
        });
        let request = request.body(Body::empty()).unwrap();
        let answered = secure_router(self.secure.clone()).call(request).await;
        answered.unwrap()
    }

    /// As one who may do everything, through the front proxy.
    pub(in super::super) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Told {
        let who = [
            ("x-remote-user", "admin"),
            ("x-remote-group", "system:masters"),
        ];
        let headers: Vec<(&str, &str)> = who.iter().chain(headers).copied().collect();
        self.ask(Method::GET, path, &headers, self.proxy()).await
    }

    /// The same of any request, not read yet.
    pub(in super::super) async fn anything(&self, request: http::request::Builder) -> Response {
        let request = request
            .header("x-remote-user", "admin")
            .header("x-remote-group", "system:masters");
        self.send(request, self.proxy()).await
    }

    /// The same, not read yet.
    pub(in super::super) async fn open(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let who = [
            ("x-remote-user", "admin"),
            ("x-remote-group", "system:masters"),
        ];
        let headers: Vec<(&str, &str)> = who.iter().chain(headers).copied().collect();
        self.begin(Method::GET, path, &headers, self.proxy()).await
    }
}

fn nobody_reports() -> Listener {
    let things: [(_, Says); 0] = [];
    Listener::of(window(&things))
}

fn something() -> Listener {
    Listener::of(window(&[
        (def(1, EntityKind::Node, 0, "node1"), USUAL),
        (pod(2, "shop", "web"), USUAL),
        (def(3, EntityKind::Container, 2, "httpd"), USUAL),
    ]))
}

/// A recorded answer.
pub(in super::super) fn recorded(name: &str) -> Vec<u8> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference/metrics-server");
    std::fs::read(root.join(name)).unwrap()
}

/// Status, content type and body of a recorded answer with its headers.
fn recorded_http(name: &str) -> (u16, String, String) {
    let text = String::from_utf8(recorded(name))
        .unwrap()
        .replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let content_type = head
        .lines()
        .find_map(|line| line.strip_prefix("content-type: "));
    (
        status,
        content_type.unwrap().to_owned(),
        body.trim_end().to_owned(),
    )
}

const ROOT: &str = "/apis/metrics.k8s.io/v1beta1";
const CURL: (&str, &str) = ("user-agent", "curl/8.5.0");

fn is_recorded(told: &Told, name: &str) {
    let (status, content_type, body) = recorded_http(name);
    assert_eq!(
        (told.status, told.text().trim_end()),
        (status, &*body),
        "{name}"
    );
    assert_eq!(told.headers["content-type"], content_type, "{name}");
    assert_eq!(told.headers["cache-control"], "no-cache, private");
    assert_eq!(told.headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn nobody_in_particular_is_told_what_the_first_server_told_them() {
    let listener = something();
    let nodes = format!("{ROOT}/nodes");
    for headers in [
        &[CURL][..],
        // Words without the proxy's certificate are those of nobody.
        &[
            CURL,
            ("x-remote-user", "admin"),
            ("x-remote-group", "system:masters"),
        ],
    ] {
        let told = listener.ask(Method::GET, &nodes, headers, None).await;
        is_recorded(&told, "anonymous_403.http");
    }
    for name in ["healthz", "livez", "readyz"] {
        let told = listener
            .ask(Method::GET, &format!("/{name}"), &[CURL], None)
            .await;
        is_recorded(&told, &format!("{name}.http"));
    }
}

#[tokio::test]
async fn what_is_unknown_is_refused_in_recorded_words() {
    let listener = something();
    let pod = format!("{ROOT}/namespaces/shop/pods/nosuch");
    is_recorded(&listener.get(&pod, &[CURL]).await, "pod_404.http");
    let node = format!("{ROOT}/nodes/nosuch");
    is_recorded(&listener.get(&node, &[CURL]).await, "node_404.http");
}

#[tokio::test]
async fn certificates_that_do_not_hold_are_refused_whatever_the_headers_say() {
    let listener = something();
    let who = [
        ("x-remote-user", "admin"),
        ("x-remote-group", "system:masters"),
    ];
    let path = format!("{ROOT}/nodes");
    let other = listener.others.leaf("front-proxy-client").client();
    let named = listener.proxies.leaf("somebody").client();
    for leaf in [other.write().unwrap(), named.write().unwrap()] {
        let told = listener
            .ask(Method::GET, &path, &who, Some(shown(&leaf)))
            .await;
        let expected = "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\
                        \"status\":\"Failure\",\"message\":\"Unauthorized\",\
                        \"reason\":\"Unauthorized\",\"code\":401}\n";
        assert_eq!((told.status, told.text()), (401, expected));
    }
    let bearer = [("authorization", "Bearer abc")];
    let told = listener.ask(Method::GET, &path, &bearer, None).await;
    assert_eq!(told.status, 401);
}

#[tokio::test]
async fn who_may_not_is_told_what_and_where() {
    let listener = something();
    let jane = [("x-remote-user", "jane"), ("x-remote-group", "devs")];
    for (path, message) in [
        (
            format!("{ROOT}/namespaces/shop/pods"),
            r#"pods.metrics.k8s.io is forbidden: User "jane" cannot list resource "pods" in API group "metrics.k8s.io" in the namespace "shop""#,
        ),
        (
            format!("{ROOT}/namespaces/shop/pods/web"),
            r#"pods.metrics.k8s.io "web" is forbidden: User "jane" cannot get resource "pods" in API group "metrics.k8s.io" in the namespace "shop""#,
        ),
        (
            "/metrics".to_owned(),
            r#"forbidden: User "jane" cannot get path "/metrics""#,
        ),
    ] {
        let told = listener
            .ask(Method::GET, &path, &jane, listener.proxy())
            .await;
        assert_eq!(told.status, 403, "{path}");
        assert_eq!(told.json()["message"], message);
        // Unknown and forbidden look the same.
        let unknown = path.replace("web", "none");
        let told = listener
            .ask(Method::GET, &unknown, &jane, listener.proxy())
            .await;
        assert_eq!(told.status, 403, "{unknown}");
    }
    for path in ["/apis", "/apis/metrics.k8s.io", ROOT, "/version"] {
        let told = listener
            .ask(Method::GET, path, &jane, listener.proxy())
            .await;
        assert_eq!(told.status, 200, "{path}");
        let told = listener.ask(Method::GET, path, &[], None).await;
        assert_eq!(told.status, 403, "{path}");
    }
}

#[tokio::test]
async fn discovery_is_the_recorded_one_and_needs_no_data() {
    let listener = nobody_reports();
    // The API server asks by itself without groups.
    let aggregator = [("x-remote-user", "system:kube-aggregator")];
    for (path, name) in [
        ("/apis/metrics.k8s.io", "group.json"),
        (ROOT, "resources.json"),
    ] {
        let told = listener
            .ask(Method::GET, path, &aggregator, listener.proxy())
            .await;
        assert_eq!(
            told.json(),
            serde_json::from_slice::<serde_json::Value>(&recorded(name)).unwrap()
        );
        assert_eq!(told.headers["content-type"], "application/json");
    }
    let groups = listener.get("/apis", &[]).await;
    assert_eq!(
        groups.json()["groups"][0]["preferredVersion"]["version"],
        "v1beta1"
    );
    assert_eq!(
        listener.get("/version", &[]).await.json()["gitVersion"],
        "v0.1.0"
    );
}

/// Guarantees: at `/` kubectl reads which paths there are, as an API server tells it, and every one of them is
/// served; who may not is refused; browsers and others find the page there.
#[tokio::test]
async fn kubectl_reads_at_the_root_which_paths_there_are_and_browsers_find_the_page() {
    let listener = nobody_reports();
    let kubectl = ("accept", "application/json, */*");
    let told = listener.get("/", &[kubectl]).await;
    assert_eq!(told.status, 200, "{}", told.text());
    assert_eq!(told.headers["content-type"], "application/json");
    let index = told.json();
    let paths = index["paths"].as_array().unwrap();
    assert!(paths.len() >= 10, "{index}");
    for path in paths {
        let path = path.as_str().unwrap();
        let told = listener.get(path, &[]).await;
        // What an index leads to is asked for with its hash.
        assert!([200, 301].contains(&told.status), "{path}");
    }
    let jane = [("x-remote-user", "jane"), kubectl];
    let told = listener
        .ask(Method::GET, "/", &jane, listener.proxy())
        .await;
    assert_eq!(told.status, 403);
    let why = r#"forbidden: User "jane" cannot get path "/""#;
    assert_eq!(told.json()["message"], why);
    for accept in ["text/html,application/json;q=0.9,*/*;q=0.8", "*/*"] {
        let told = listener.get("/", &[("accept", accept)]).await;
        assert_eq!(told.status, 200, "{accept}");
        let of_page = told.headers["content-type"].to_str().unwrap();
        assert!(of_page.starts_with("text/html"), "{accept}: {of_page}");
    }
}

#[tokio::test]
async fn aggregated_discovery_names_its_version_and_is_not_sent_twice() {
    let listener = nobody_reports();
    for version in ["v2", "v2beta1"] {
        let wanted =
            format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
        let accept = ("accept", &*format!("{wanted},application/json"));
        let told = listener.get("/apis", &[accept]).await;
        assert_eq!(
            (told.status, told.headers["content-type"].to_str().unwrap()),
            (200, &*wanted)
        );
        assert_eq!(told.headers["vary"], "Accept");
        assert_eq!(told.headers["cache-control"], "public");
        let list = told.json();
        assert_eq!(list["apiVersion"], format!("apidiscovery.k8s.io/{version}"));
        let resources = &list["items"][0]["versions"][0]["resources"];
        assert_eq!(resources[0]["responseKind"]["kind"], "NodeMetrics");
        assert_eq!(resources[1]["scope"], "Namespaced");
        let etag = told.headers["etag"].to_str().unwrap().to_owned();
        let again = listener
            .get("/apis", &[accept, ("if-none-match", &etag)])
            .await;
        assert_eq!((again.status, again.body.len()), (304, 0));
        assert_eq!(again.headers["etag"].to_str().unwrap(), etag);
    }
}

#[tokio::test]
async fn nothing_is_changed_here_and_nothing_else_is_served() {
    let listener = something();
    let who = [
        ("x-remote-user", "admin"),
        ("x-remote-group", "system:masters"),
    ];
    for method in [
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
    ] {
        let path = format!("{ROOT}/nodes");
        let told = listener
            .ask(method.clone(), &path, &who, listener.proxy())
            .await;
        assert_eq!(told.status, 405, "{method}");
        assert_eq!(told.headers["allow"], "GET");
    }
    for path in [
        "/nosuch",
        "/api/v1/nodes",
        "/metrics",
        "/apis/apps/v1",
        "/apis/metrics/v1alpha1/nodes",
    ] {
        let told = listener.get(path, &[]).await;
        assert_eq!(told.status, 404, "{path}");
        assert!(told.json()["paths"].is_array());
    }
    let told = listener.ask(Method::HEAD, "/readyz", &[], None).await;
    assert_eq!(told.status, 200);
}

#[tokio::test]
async fn probes_say_which_check_fails_and_not_why() {
    let listener = something();
    let blocker = listener
        .secure
        .wellness
        .readiness
        .block("replay", "of node7");
    let told = listener.get("/readyz?verbose", &[]).await;
    let expected =
        "[+]ping ok\n[+]tasks ok\n[-]ready failed: reason withheld\nreadyz check failed\n";
    assert_eq!((told.status, told.text()), (500, expected));
    assert_eq!(listener.get("/readyz/ready", &[]).await.status, 500);
    assert_eq!(listener.get("/readyz/ping", &[]).await.text(), "ok");
    assert_eq!(listener.get("/readyz/nosuch", &[]).await.status, 404);
    let told = listener.get("/readyz?verbose&exclude=ready", &[]).await;
    let expected = "[+]ping ok\n[+]tasks ok\n[+]ready excluded: ok\nreadyz check passed\n";
    assert_eq!((told.status, told.text()), (200, expected));
    assert_eq!(listener.get("/livez", &[]).await.text(), "ok");
    drop(blocker);
    assert_eq!(listener.get("/readyz", &[]).await.text(), "ok");
}
