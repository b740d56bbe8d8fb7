//! What holds whatever is asked of the aggregator: the fuzz targets and `tests/corpus.rs` make the same
//! checks.
//!
//! A question is text: a line with the method and the target of a request, and a line for each of its
//! headers, `name: value`. It is asked of both listeners of readers, at HTTPS as somebody who may see
//! everything: selectors, media types, amounts, times and paths are read there. A certificate is DER, as it
//! is read where a client has shown it.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use cairn_aggregator::access::{Authenticators, FrontProxy, ProxyHeaders, Rights};
use cairn_aggregator::api::{
    Api, Gate, MetricsApi, Secure, Start, Terms, Wellness, router, secure_router,
};
use cairn_aggregator::store::{Door, Opening, PackedStore, WireRow};
use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::codec::{DENSE, row};
use cairn_proto::model::{Builder, EntityDef, EntityId, EntityKind, Run, Stamp};
use cairn_runtime::clock::Clock;
use cairn_runtime::listen::Peer;
use cairn_runtime::readiness::Readiness;
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::Supervisor;
use cairn_runtime::tls::{CertificateDer, PeerCertificates, Trust};
use http::Request;
use http_body_util::BodyExt as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};
use tower_service::Service as _;

const T0: u64 = 1_795_332_330_000;

/// When it is asked, Unix ms: a moment after the newest row.
const NOW: u64 = T0 + 20_100;

/// When it was started, Unix ms: so long ago that lists are answered with what there is.
const BEGAN: u64 = NOW - 50_000;

/// How long an answer is read: streams have no end. Time passes at once where nothing else is to be done.
const READ_FOR: Duration = Duration::from_millis(200);

/// The longest question: as much as a listener takes of a head.
const MOST_BYTES: usize = 72 * 1024;

struct Bed {
    runtime: Runtime,
    plain: Router,
    secure: Router,
    proxy: Arc<PeerCertificates>,
}

static BED: LazyLock<Mutex<Bed>> = LazyLock::new(|| Mutex::new(Bed::new()));

/// The CA of the front proxy, PEM, and the certificate of the proxy.
struct Certificates {
    ca: String,
    leaf: Vec<u8>,
}

static CERTIFICATES: LazyLock<Certificates> = LazyLock::new(Certificates::new);

impl Certificates {
    fn new() -> Self {
        let key = || KeyPair::generate().expect("randomness");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, key()).expect("a CA");
        let mut params = CertificateParams::new(vec!["node1".to_owned()]).expect("a name");
        params.not_after = date_time_ymd(2049, 12, 31);
        params
            .distinguished_name
            .push(DnType::CommonName, "front-proxy-client");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params.signed_by(&key(), &ca).expect("a certificate");
        Self {
            ca: ca.pem(),
            leaf: leaf.der().to_vec(),
        }
    }

    fn trust(&self) -> Arc<Trust> {
        Trust::of_pem("the CA", self.ca.as_bytes()).expect("a CA")
    }
}

fn shown(leaf: &[u8]) -> PeerCertificates {
    PeerCertificates {
        chain: vec![CertificateDer::from(leaf.to_vec())],
    }
}

/// A certificate that is good.
pub(crate) fn good_certificate() -> &'static [u8] {
    &CERTIFICATES.leaf
}

/// A node with one pod over three ticks.
fn store() -> Arc<dyn Door> {
    let store: Arc<dyn Door> = Arc::new(PackedStore::new(900_000, 0));
    let opening = Opening {
        run: Run {
            epoch_ms: 1,
            boot_id: [0; 16],
            clock_stepped: false,
        },
        interval_ms: 10_000,
        sent_ms: T0,
        now_ms: T0,
    };
    let session = store.open("node1", opening);
    let things = [
        (1, EntityKind::Node, "node1", ""),
        (2, EntityKind::Pod, "web", "shop"),
        (3, EntityKind::Container, "app", ""),
    ];
    for (id, kind, name, namespace) in things {
        let def = EntityDef {
            id: EntityId(id),
            kind,
            parent: (id > 1).then(|| EntityId(id - 1)),
            name: name.into(),
            namespace: namespace.into(),
            uid: if id == 2 { "u".into() } else { String::new() },
            runtime_id: String::new(),
            labels: Vec::new(),
        };
        store.define(&session, def).expect("a definition");
    }
    for n in 0..3u64 {
        let tick_ms = T0 + n * 10_000;
        let mut builder = Builder::default();
        for id in 1..=3 {
            let stamp = Stamp {
                time_ms: tick_ms,
                start_ms: None,
                source: Source::Resource,
            };
            builder.value(EntityId(id), table::CPU, n * 1_500_000_000);
            builder.stamp(EntityId(id), Group::Cpu, stamp);
            builder.value(EntityId(id), table::MEMORY_USAGE, 5_000 + n * 1_000);
            builder.value(EntityId(id), table::MEMORY_WORKING_SET, 4_000 + n * 1_000);
            builder.stamp(EntityId(id), Group::Memory, stamp);
        }
        let payload = row::keyframe(DENSE, tick_ms, &builder.build());
        let row = WireRow {
            seq: n,
            base_seq: None,
            tick_ms,
            payload: &payload,
            sent_ms: tick_ms,
            now_ms: tick_ms,
        };
        store.append(&session, row).expect("a row");
    }
    store
}

fn api(clock: Clock, start: Start) -> Api {
    let terms = Terms {
        span_ms: 10_000,
        start,
    };
    Api::alone(store(), clock, terms, (10_000, 900_000))
}

impl Bed {
    fn new() -> Self {
        let mut builder = RuntimeBuilder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let clock = Clock::driven(BEGAN);
        let start = Start::new(&clock, None);
        let stepped = runtime.block_on(clock.step(NOW, READ_FOR));
        stepped.expect("nobody waits for this clock");
        let within = runtime.enter();
        let api = api(clock, start);
        let gate = Gate {
            loopback: true,
            dumps: true,
            hosts: Arc::default(),
        };
        let secure = Secure {
            api: api.clone(),
            metrics: MetricsApi { api: api.apart() },
            authenticators: Authenticators {
                front_proxy: Some(FrontProxy {
                    trust: CERTIFICATES.trust(),
                    names: vec!["front-proxy-client".to_owned()],
                    headers: vec![ProxyHeaders::default()],
                }),
                ..Authenticators::default()
            },
            rights: Rights::default(),
            wellness: Wellness {
                readiness: Readiness::new(),
                health: Supervisor::new(Token::new()).health(),
            },
        };
        drop(within);
        Self {
            runtime,
            plain: router(api, gate, Router::new()),
            secure: secure_router(secure),
            proxy: Arc::new(shown(good_certificate())),
        }
    }

    /// The status of the answer, which is read as far as it comes. That a pod is unknown was 500 in Heapster's
    /// resource metrics, and has to be: it blames nobody.
    fn ask(&self, mut router: Router, request: Request<Body>) -> u16 {
        self.runtime.block_on(async {
            let Ok(answered) = router.call(request).await;
            let status = answered.status().as_u16();
            let read = tokio::time::timeout(READ_FOR, answered.into_body().collect()).await;
            let body = read.ok().and_then(Result::ok).map(|body| body.to_bytes());
            let is_unknown = body.is_some_and(|body| body.starts_with(b"Error while getting pod "));
            if is_unknown { 404 } else { status }
        })
    }
}

/// A request; `None` for what no client could send.
fn request(text: &str, more: &[(&str, &str)]) -> Option<Request<Body>> {
    let mut lines = text.lines();
    let (method, target) = lines.next()?.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(target);
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        // Of bytes: a value need not be ASCII.
        request = request.header(name, value.as_bytes());
    }
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).ok()
}

/// No panic, and no answer that blames the server: 503 says that something is not there yet.
pub(crate) fn routes(body: &[u8]) {
    for status in statuses(body) {
        assert!(status < 500 || status == 503, "{status}");
    }
}

/// What the plain listener and the HTTPS listener answer; nothing where it is no question.
pub(crate) fn statuses(body: &[u8]) -> Vec<u16> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    if text.len() > MOST_BYTES {
        return Vec::new();
    }
    let bed = BED.lock().unwrap_or_else(PoisonError::into_inner);
    let plain = request(text, &[("host", "localhost")]);
    let plain = plain.map(|request| bed.ask(bed.plain.clone(), request));
    let who = [
        ("x-remote-user", "admin"),
        ("x-remote-group", "system:masters"),
    ];
    let secure = request(text, &who).map(|mut request| {
        let addr = std::net::SocketAddr::from(([192, 0, 2, 1], 1));
        request.extensions_mut().insert(Peer {
            addr,
            local: addr,
            tls: Some(Arc::clone(&bed.proxy)),
        });
        bed.ask(bed.secure.clone(), request)
    });
    plain.into_iter().chain(secure).collect()
}

/// No panic, and nothing is believed but what the CA has signed.
pub(crate) fn certificates(body: &[u8]) {
    let shown = shown(body);
    if let Some(name) = shown.one_dns_name() {
        assert!(name.len() <= body.len());
    }
    let until = shown.until_ms();
    let subject = CERTIFICATES.trust().client(&shown);
    if body == good_certificate() {
        assert!(until.is_some());
        assert_eq!(shown.one_dns_name().as_deref(), Some("node1"));
        assert_eq!(
            subject.expect("it is good").common_name,
            "front-proxy-client"
        );
    } else {
        assert!(subject.is_err(), "what nobody signed is believed");
    }
}
