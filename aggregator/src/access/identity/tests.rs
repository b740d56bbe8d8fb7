//! Certificates and headers, good and bad, and who they make of a request.

use cairn_runtime::tls::{CertificateDer, TrustFiles};
use http::HeaderValue;
use rustls_pki_types::pem::PemObject as _;
use testkit::pki::{Ca, Leaf, Pki, Validity};

use super::super::{ANONYMOUS, AUTHENTICATED, ProxyHeaders, UNAUTHENTICATED};
use super::*;

/// Two CAs that count, one that does not, and what they sign.
struct Files {
    pki: Pki,
    _dir: tempfile::TempDir,
    proxies: Ca,
    clients: Ca,
    others: Ca,
}

impl Files {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::new(dir.path()).unwrap();
        let (proxies, clients, others) = (
            pki.ca("proxies").unwrap(),
            pki.ca("clients").unwrap(),
            pki.ca("others").unwrap(),
        );
        Self {
            pki,
            _dir: dir,
            proxies,
            clients,
            others,
        }
    }

    fn authenticators(&self) -> Authenticators {
        Authenticators {
            front_proxy: Some(FrontProxy {
                trust: trust(&self.proxies),
                names: vec!["front-proxy-client".to_owned()],
                headers: vec![ProxyHeaders::default()],
            }),
            clients: Some(trust(&self.clients)),
            ..Authenticators::default()
        }
    }
}

fn trust(ca: &Ca) -> Arc<Trust> {
    let ca = vec![ca.cert_pem.clone()];
    Trust::load(TrustFiles {
        ca,
        ..TrustFiles::default()
    })
    .unwrap()
}

fn shown(leaf: &Leaf) -> PeerCertificates {
    let chain = CertificateDer::pem_file_iter(&leaf.cert_pem).unwrap();
    PeerCertificates {
        chain: chain.collect::<Result<_, _>>().unwrap(),
    }
}

fn client(ca: &Ca, name: &str) -> PeerCertificates {
    shown(&ca.leaf(name).client().write().unwrap())
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

const JANE: [(&str, &str); 6] = [
    ("x-remote-user", "jane"),
    ("x-remote-group", "devs"),
    ("x-remote-group", "system:masters"),
    ("x-remote-uid", "7"),
    ("x-remote-extra-acme.com%2fproject", "shop"),
    ("accept", "application/json"),
];

/// Who asks, and the names of the headers that are left.
async fn asked(
    by: &Authenticators,
    pairs: &[(&'static str, &str)],
    shown: Option<&PeerCertificates>,
) -> (Result<User, Unproven>, Vec<String>) {
    let mut headers = headers(pairs);
    let user = by.user(&mut headers, shown).await;
    (user, headers.keys().map(ToString::to_string).collect())
}

#[tokio::test]
async fn the_front_proxy_says_for_whom_it_asks() {
    let files = Files::new();
    let proxy = client(&files.proxies, "front-proxy-client");
    let (user, left) = asked(&files.authenticators(), &JANE, Some(&proxy)).await;
    let user = user.unwrap();
    assert_eq!((&*user.name, &*user.uid), ("jane", "7"));
    assert_eq!(user.groups, ["devs", "system:masters", AUTHENTICATED]);
    let project = ("acme.com/project".to_owned(), vec!["shop".to_owned()]);
    assert_eq!(user.extra, [project]);
    assert_eq!(left, ["accept"]);
    // Without groups it is still one who has said who they are.
    let pairs = [("x-remote-user", "system:kube-aggregator")];
    let (user, _) = asked(&files.authenticators(), &pairs, Some(&proxy)).await;
    assert_eq!(user.unwrap().groups, [AUTHENTICATED]);
    let nobody = [
        ("x-remote-user", ANONYMOUS),
        ("x-remote-group", UNAUTHENTICATED),
    ];
    let (user, _) = asked(&files.authenticators(), &nobody, Some(&proxy)).await;
    assert_eq!(user, Ok(User::anonymous()));
}

#[tokio::test]
async fn who_is_not_the_proxy_is_not_believed() {
    let files = Files::new();
    let by = files.authenticators();
    let (user, left) = asked(&by, &JANE, None).await;
    assert_eq!(
        (user, left),
        (Ok(User::anonymous()), vec!["accept".to_owned()])
    );
    let server = files
        .proxies
        .leaf("server")
        .common_name("front-proxy-client");
    let expired = files.proxies.leaf("old").common_name("front-proxy-client");
    for (what, certificate) in [
        ("another CA", client(&files.others, "front-proxy-client")),
        ("another name", client(&files.proxies, "somebody")),
        ("a server's", shown(&server.write().unwrap())),
        (
            "an expired one",
            shown(
                &expired
                    .client()
                    .validity(Validity::Expired)
                    .write()
                    .unwrap(),
            ),
        ),
    ] {
        let (user, left) = asked(&by, &JANE, Some(&certificate)).await;
        assert_eq!(user, Err(Unauthorized), "{what}");
        assert_eq!(left, ["accept"], "{what}");
    }
    // A client's certificate says who its holder is, and no header says otherwise.
    let own = client(&files.clients, "front-proxy-client");
    let (user, _) = asked(&by, &JANE, Some(&own)).await;
    let user = user.unwrap();
    assert_eq!(
        (&*user.name, user.is_in("devs")),
        ("front-proxy-client", false)
    );
}

#[tokio::test]
async fn a_proxy_that_names_nobody_is_nobody() {
    let files = Files::new();
    let proxy = client(&files.proxies, "front-proxy-client");
    for pairs in [
        &[][..],
        &[("x-remote-user", "")],
        &[("x-remote-group", "system:masters")],
    ] {
        let (user, _) = asked(&files.authenticators(), pairs, Some(&proxy)).await;
        assert_eq!(user, Err(Unauthorized), "{pairs:?}");
    }
}

#[tokio::test]
async fn client_certificates_are_users_and_their_groups() {
    let files = Files::new();
    let leaf = files.clients.leaf("admin").organization("system:masters");
    let certificate = shown(&leaf.client().write().unwrap());
    let (user, _) = asked(&files.authenticators(), &[], Some(&certificate)).await;
    let user = user.unwrap();
    assert_eq!(user.name, "admin");
    assert_eq!(user.groups, ["system:masters", AUTHENTICATED]);
    let nameless = files.clients.leaf("nameless").common_name("");
    let nameless = shown(&nameless.client().write().unwrap());
    let (user, _) = asked(&files.authenticators(), &[], Some(&nameless)).await;
    assert_eq!(user, Err(Unauthorized));
    // Where no CA is configured a certificate proves nothing, and nobody has to have one.
    let (user, _) = asked(&Authenticators::default(), &JANE, Some(&certificate)).await;
    assert_eq!(user, Ok(User::anonymous()));
}

#[tokio::test]
async fn with_any_name_allowed_a_user_of_the_same_ca_is_no_proxy() {
    let files = Files::new();
    let shared = Authenticators {
        front_proxy: Some(FrontProxy {
            trust: trust(&files.clients),
            names: Vec::new(),
            headers: vec![ProxyHeaders::default()],
        }),
        ..files.authenticators()
    };
    let (user, _) = asked(&shared, &JANE, Some(&client(&files.clients, "mallory"))).await;
    assert_eq!(user.unwrap().name, "mallory");
    let alone = Authenticators {
        clients: None,
        ..shared
    };
    let (user, _) = asked(&alone, &JANE, Some(&client(&files.clients, "proxy"))).await;
    assert_eq!(user.unwrap().name, "jane");
}

#[tokio::test]
async fn a_token_that_nobody_knows_is_refused() {
    let files = Files::new();
    let by = files.authenticators();
    for text in ["Bearer abc", "bearer  abc"] {
        let (user, left) = asked(&by, &[("authorization", text)], None).await;
        assert_eq!((user, left.len()), (Err(Unauthorized), 0), "{text}");
    }
    for text in ["Basic abc", "Bearer", "Bearer "] {
        let (user, _) = asked(&by, &[("authorization", text)], None).await;
        assert_eq!(user, Ok(User::anonymous()), "{text}");
    }
    // Whom the proxy asks for is known without.
    let proxy = client(&files.proxies, "front-proxy-client");
    let pairs = [("x-remote-user", "jane"), ("authorization", "Bearer abc")];
    let (user, left) = asked(&by, &pairs, Some(&proxy)).await;
    assert_eq!((user.unwrap().name, left.len()), ("jane".to_owned(), 0));
}

#[tokio::test]
async fn a_new_ca_counts_from_the_next_request_on() {
    let files = Files::new();
    let by = files.authenticators();
    let newer = files.pki.ca("newer").unwrap();
    let proxy = client(&newer, "front-proxy-client");
    let (user, _) = asked(&by, &JANE, Some(&proxy)).await;
    assert_eq!(user, Err(Unauthorized));
    std::fs::copy(&newer.cert_pem, &files.proxies.cert_pem).unwrap();
    by.front_proxy.as_ref().unwrap().trust.reload().unwrap();
    let (user, _) = asked(&by, &JANE, Some(&proxy)).await;
    assert_eq!(user.unwrap().name, "jane");
}

/// Scenario: the API server publishes other names for the headers of a proxy before it, and none for the UID.
/// Guarantees: who asks is whom the API server's own headers name, whatever others say beside them; without those it is
/// whom the published ones name; a UID is not believed; all are taken from every request, whoever sends them.
#[tokio::test]
async fn published_names_of_headers_count_where_the_usual_ones_name_nobody() {
    let files = Files::new();
    let named = |text: &'static str| HeaderName::from_static(text);
    let usual = ProxyHeaders {
        uids: Vec::new(),
        ..ProxyHeaders::default()
    };
    let others = ProxyHeaders {
        users: vec![named("x-forwarded-user"), named("x-also-user")],
        groups: vec![named("x-groups")],
        extras: vec!["x-more-".to_owned()],
        uids: Vec::new(),
    };
    let proxy = FrontProxy {
        headers: vec![usual, others],
        ..files.authenticators().front_proxy.unwrap()
    };
    let published = Published {
        front_proxy: Some(proxy),
        clients: Some(trust(&files.clients)),
    };
    let by = Authenticators {
        published: Some(Arc::new(ArcSwapOption::from_pointee(published))),
        ..Authenticators::default()
    };
    let said = [
        ("x-remote-user", "jane"),
        ("x-remote-group", "devs"),
        ("x-remote-uid", "1"),
        ("x-also-user", "mallory"),
        ("x-groups", "system:masters"),
        ("x-more-scopes", "all"),
        ("accept", "*/*"),
    ];
    let certificate = client(&files.proxies, "front-proxy-client");
    assert_eq!(by.evidence(&headers(&said)).len(), 6);
    let (user, left) = asked(&by, &said, Some(&certificate)).await;
    let user = user.unwrap();
    assert_eq!((&*user.name, &*user.uid), ("jane", ""));
    assert_eq!(user.groups, ["devs", AUTHENTICATED]);
    assert!(user.extra.is_empty() && left.len() == 1);
    let (user, left) = asked(&by, &said[3..], Some(&certificate)).await;
    let user = user.unwrap();
    assert_eq!(user.name, "mallory");
    assert_eq!(user.groups, ["system:masters", AUTHENTICATED]);
    let all = vec!["all".to_owned()];
    assert_eq!(user.extra, [("scopes".to_owned(), all)]);
    assert_eq!(left.len(), 1);
    let (user, left) = asked(&by, &said, None).await;
    assert_eq!((user, left.len()), (Ok(User::anonymous()), 1));
}
