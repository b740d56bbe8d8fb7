//! What is published, good and bad, and how it is followed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::pki::Pki;
use tokio::task::JoinSet;

use super::*;
use crate::cluster::access::{Access, Allowed};
use crate::cluster::authority::{Asked, Review, Unanswered};
use crate::cluster::token::Keys;

const RECORDED: &[u8] = include_bytes!(
    "../../../../tests/fixtures/apiserver-1.36/extension-apiserver-authentication.json"
);

#[test]
fn a_recorded_one_names_the_proxy_and_both_cas() {
    let published = Published::parse(RECORDED).unwrap();
    assert_eq!(published.front_proxy.unwrap().names, ["front-proxy-client"]);
    assert!(published.clients.is_some_and(|trust| !trust.is_empty()));
}

#[test]
fn what_is_not_there_is_not_taken_and_what_is_broken_is_told() {
    let parse = |data: &str| Published::parse(format!(r#"{{"data":{data}}}"#).as_bytes());
    for names in ["null", "", " ", "[]"] {
        let data = format!(r#"{{"requestheader-allowed-names":"{names}"}}"#);
        assert!(parse(&data).is_ok(), "{names:?}");
    }
    let none = parse("{}").unwrap();
    assert!(none.front_proxy.is_none() && none.clients.is_none());
    let broken = parse(
        r#"{"client-ca-file":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}"#,
    );
    assert!(
        matches!(broken, Err(PublishedError::Ca { .. })),
        "{broken:?}"
    );
    let empty = parse(r#"{"client-ca-file":"no certificate"}"#);
    assert!(matches!(empty, Err(PublishedError::Ca { .. })), "{empty:?}");
    let names = parse(r#"{"requestheader-allowed-names":"front-proxy-client"}"#);
    assert!(
        matches!(names, Err(PublishedError::Form { .. })),
        "{names:?}"
    );
    assert!(Published::parse(b"").is_err());
}

/// Scenario: the API server's own names of headers.
/// Guarantees: they are taken as they are published, in any case; what is not published is as it is documented; what
/// is no name is told with its key.
#[test]
fn headers_are_those_that_are_published() {
    let parse = |data: &str| headers(&serde_json::from_str(data).unwrap());
    let usual = ProxyHeaders {
        uids: Vec::new(),
        ..ProxyHeaders::default()
    };
    assert_eq!(parse("{}").unwrap(), [usual.clone(), usual.clone()]);
    let empty = r#"{"requestheader-username-headers":"[]","requestheader-uid-headers":""}"#;
    assert_eq!(parse(empty).unwrap(), [usual.clone(), usual.clone()]);
    let both = parse(
        r#"{"requestheader-username-headers":"[\"X-Forwarded-User\",\"X-Remote-User\"]",
            "requestheader-extra-headers-prefix":"[\"X-More-\"]"}"#,
    )
    .unwrap();
    let [first, own] = <[ProxyHeaders; 2]>::try_from(both).unwrap();
    assert_eq!(first, usual);
    let own_users: Vec<&str> = own.users.iter().map(HeaderName::as_str).collect();
    assert_eq!(own_users, ["x-forwarded-user", "x-remote-user"]);
    assert_eq!(own.extras, ["x-more-"]);
    assert_eq!((own.groups, own.uids), (usual.groups, usual.uids));
    let broken = parse(r#"{"requestheader-group-headers":"[\"X Group\"]"}"#).unwrap_err();
    let text = broken.to_string();
    assert!(
        text.contains("requestheader-group-headers") && text.contains("\"X Group\""),
        "{text}"
    );
}

/// What an API server publishes, or why it cannot be asked.
#[derive(Debug)]
struct Told {
    says: Mutex<Result<Vec<u8>, &'static str>>,
    asked: AtomicUsize,
}

impl Told {
    fn set(&self, says: Result<Vec<u8>, &'static str>) {
        *self.says.lock().unwrap() = says;
    }
}

impl Authority for Told {
    fn review<'a>(&'a self, _: &'a str, _: &'a [String]) -> Asked<'a, Review> {
        unreachable!("nobody asks")
    }

    fn access<'a>(&'a self, _: &'a Access) -> Asked<'a, Allowed> {
        unreachable!("nobody asks")
    }

    fn keys(&self) -> Asked<'_, Keys> {
        unreachable!("nobody asks")
    }

    fn published(&self) -> Asked<'_, Vec<u8>> {
        Box::pin(async {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let why = |why: &str| Unanswered {
                why: why.to_owned(),
            };
            self.says.lock().unwrap().clone().map_err(why)
        })
    }
}

/// Scenario: the API server does not answer at first, then publishes a proxy, then another one, then something that
/// is not understood.
/// Guarantees: nothing is known before the first was read, and it is said why; the other one counts within a minute;
/// what was read stays when nothing good can be read any more, and that is said.
#[tokio::test(start_paused = true)]
async fn what_is_published_is_followed_and_the_last_good_stays() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new(dir.path()).unwrap();
    let map = |name: &str| {
        let ca = std::fs::read_to_string(pki.ca(name).unwrap().cert_pem).unwrap();
        let names = format!("[\"{name}\"]");
        let data = serde_json::json!({
            "data": { "requestheader-client-ca-file": ca, "requestheader-allowed-names": names }
        });
        data.to_string().into_bytes()
    };
    let told = Arc::new(Told {
        says: Mutex::new(Err("403 for configmaps")),
        asked: AtomicUsize::new(0),
    });
    let (readiness, token) = (Readiness::new(), Token::new());
    let into = Arc::new(ArcSwapOption::<Published>::empty());
    let follow = Follow {
        api: Arc::clone(&told) as Arc<dyn Authority>,
        into: Arc::clone(&into),
        readiness: readiness.clone(),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(follow.run(token.clone()));
    let known = || {
        let proxy = into.load().as_ref()?.front_proxy.clone()?;
        Some(proxy.names.join(","))
    };
    sleep(Duration::from_secs(12)).await;
    let (_, why) = readiness.render(true);
    assert!(why.contains("403 for configmaps; what was read"), "{why}");
    assert_eq!((known(), told.asked.load(Ordering::Relaxed)), (None, 3));

    told.set(Ok(map("first")));
    sleep(AGAIN).await;
    assert_eq!(known().as_deref(), Some("first"));
    assert!(readiness.degraded().is_empty());

    told.set(Ok(map("second")));
    sleep(EVERY).await;
    assert_eq!(known().as_deref(), Some("second"));

    for bad in [Ok(b"no JSON".to_vec()), Err("connection refused")] {
        told.set(bad);
        sleep(EVERY + AGAIN).await;
        assert_eq!(known().as_deref(), Some("second"));
        let degraded = readiness.degraded();
        assert!(
            degraded.iter().any(|(name, _)| name == NOTE),
            "{degraded:?}"
        );
    }
    token.cancel();
    let ended = tasks.join_next().await;
    assert!(matches!(ended, Some(Ok(Ok(())))), "{ended:?}");
}
