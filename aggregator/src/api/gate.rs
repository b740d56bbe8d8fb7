//! What the plain listener serves to whom.
//!
//! On loopback everything; on any other address only `/healthz`, the model and the scraper
//! routes, which have no secrets beyond usage figures and clients that cannot authenticate; what dumps all
//! of it at once must be allowed.
//! `Host` must be an address, `localhost` or a name that was allowed, so that a web page of
//! somebody else cannot read this one through a name that it controls (DNS rebinding).

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::uri::Authority;
use http::{StatusCode, Version, header};

use super::answer;
use super::native::{Large, Native};
use super::path::Segments;

/// The rules of one listener.
#[derive(Clone, Debug)]
pub struct Gate {
    /// True when the listener is on loopback.
    pub loopback: bool,
    /// True when dumps of everything are served off loopback too.
    pub dumps: bool,
    /// Further names that `Host` may have.
    pub hosts: Arc<[String]>,
}

impl Gate {
    fn admits_host(&self, host: &str) -> bool {
        let Some(name) = name_of(host) else {
            return false;
        };
        name.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self
                .hosts
                .iter()
                .any(|allowed| allowed.eq_ignore_ascii_case(name))
    }

    /// Why a request's `Host` is not served here; `None` when it is. A second one could be what a
    /// proxy before this listener goes by, and so could the host of a whole URI.
    fn host_refusal<T>(&self, request: &http::Request<T>) -> Option<(StatusCode, &'static str)> {
        let told: Vec<_> = request.headers().get_all(header::HOST).iter().collect();
        // Only HTTP/1.0 may come without one, and no browser speaks it. HTTP/2 has it in its URI.
        let is_missing = match request.version() {
            Version::HTTP_09 | Version::HTTP_10 => false,
            Version::HTTP_2 => told.is_empty() && request.uri().authority().is_none(),
            _ => told.is_empty(),
        };
        if is_missing || told.len() > 1 {
            return Some((StatusCode::BAD_REQUEST, NO_HOST));
        }
        // What is not even text is no name that was allowed.
        let told = told.iter().map(|host| host.to_str().unwrap_or_default());
        let authority = request.uri().authority().map(Authority::as_str);
        told.chain(authority)
            .any(|host| !self.admits_host(host))
            .then_some((StatusCode::MISDIRECTED_REQUEST, OTHER_HOST))
    }

    /// Why the path is not served here; `None` when it is.
    fn refusal(&self, path: &str) -> Option<&'static str> {
        // What is redirected is asked again under its clean path, and judged then.
        let segments = Segments::parse(path).ok().filter(|_| !self.loopback)?;
        // Every spelling of a path is judged as the path that it means.
        let [_, meant] = segments.readings();
        // By the path alone: no range is served here, of whatever it is.
        match Native::of(&segments, None) {
            Native::Large(Large::Export) => (!self.dumps).then_some(DUMP),
            Native::Large(Large::Model) => {
                let is_dump = matches!(meant.get(3..), Some(["debug", "allkeys"]));
                (is_dump && !self.dumps).then_some(DUMP)
            }
            Native::Large(Large::Scraper) => None,
            Native::Health => {
                let is_check = matches!(meant.as_slice(), ["healthz"] | ["healthz", "healthz"]);
                (!is_check).then_some(ELSEWHERE)
            }
            Native::Overview
            | Native::Stream
            | Native::Range
            | Native::Large(
                Large::Resource
                | Large::Values
                | Large::Explain
                | Large::Workloads
                | Large::WorkloadRange,
            )
            | Native::Page => Some(ELSEWHERE),
        }
    }
}

/// The name of a `Host`, without its port; `None` when it is no `Host` at all, which could be read
/// as another name elsewhere.
fn name_of(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            let port = after.strip_prefix(':');
            (address, port.or_else(|| after.is_empty().then_some(""))?)
        }
        None => host.rsplit_once(':').unwrap_or((host, "")),
    };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    is_port.then(|| name.strip_suffix('.').unwrap_or(name))
}

const DUMP: &str = "dumps of everything are not served on a listener that is not on loopback, \
                    unless --http-serve-dumps allows it";

const ELSEWHERE: &str = "this listener is not on loopback and serves only /healthz, /api/v1/model \
                         and /api/v1/dashboard: reach the rest at --https-listen with a token or a \
                         client certificate (docs/access.md), or on a loopback listener (kubectl \
                         port-forward)";

const NO_HOST: &str = "a request must have one Host, and only one: check the client, or the proxy \
                       that it comes through";

const OTHER_HOST: &str = "this Host is not served here: use an address or localhost, or allow the \
                          name with --http-host";

/// Lets a request through or says why not.
pub(super) async fn check(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let refused = gate.host_refusal(&request).or_else(|| {
        let refused = gate.refusal(request.uri().path());
        refused.map(|body| (StatusCode::FORBIDDEN, body))
    });
    match refused {
        Some((_, why)) if answer::is_grpc(request.headers()) => answer::grpc_denied(why),
        Some((status, body)) => answer::text(status, body),
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::super::native;
    use super::*;

    #[test]
    fn hosts_are_addresses_localhost_or_allowed_names() {
        let gate = Gate {
            loopback: true,
            dumps: false,
            hosts: vec!["heapster".to_owned()].into(),
        };
        for good in [
            "127.0.0.1:8082",
            "[::1]:8082",
            "[::1]",
            "localhost",
            "LOCALHOST:1",
            "localhost.",
            "localhost:",
            "heapster:80",
            "heapster.:80",
        ] {
            assert!(gate.admits_host(good), "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:8082",
            "127.0.0.1.evil.example",
            "127.0.0.1:evil.example",
            "[127.0.0.1].evil.example",
            "[127.0.0.1]",
            "[::1].evil.example",
            "[::1].evil.example:8082",
            "[::1]8082",
            "[::1]:8082.evil.example",
            "[::1",
            "[::1]]",
            "[localhost]",
            "[heapster]:80",
            "[]",
            "localhost..",
            "",
        ] {
            assert!(!gate.admits_host(bad), "{bad}");
        }
    }

    #[test]
    fn one_host_is_told_and_every_word_of_it_counts() {
        let gate = off_loopback(false);
        let (none, other) = (StatusCode::BAD_REQUEST, StatusCode::MISDIRECTED_REQUEST);
        for (version, uri, hosts, expected) in [
            (Version::HTTP_11, "/", &["localhost:80"][..], None),
            (Version::HTTP_11, "http://localhost/", &["localhost"], None),
            (Version::HTTP_10, "/", &[], None),
            (Version::HTTP_2, "http://localhost/", &[], None),
            (Version::HTTP_2, "/", &[], Some(none)),
            (Version::HTTP_2, "http://evil/", &[], Some(other)),
            (Version::HTTP_2, "http://evil/", &["localhost"], Some(other)),
            (Version::HTTP_11, "/", &[], Some(none)),
            (Version::HTTP_11, "http://localhost/", &[], Some(none)),
            (Version::HTTP_10, "/", &["localhost"; 2], Some(none)),
            (Version::HTTP_11, "/", &["localhost", "evil"], Some(none)),
            (Version::HTTP_11, "/", &["evil", "localhost"], Some(none)),
            (Version::HTTP_11, "/", &[""], Some(other)),
            (Version::HTTP_11, "/", &["evil"], Some(other)),
            (Version::HTTP_10, "/", &["evil"], Some(other)),
            (
                Version::HTTP_11,
                "http://evil/",
                &["localhost"],
                Some(other),
            ),
            (
                Version::HTTP_11,
                "http://localhost/",
                &["evil"],
                Some(other),
            ),
            (Version::HTTP_10, "http://evil/", &[], Some(other)),
            (
                Version::HTTP_11,
                "http://a@localhost/",
                &["localhost"],
                Some(other),
            ),
        ] {
            let mut request = http::Request::builder().version(version).uri(uri);
            for host in hosts {
                request = request.header(header::HOST, *host);
            }
            let found = gate.host_refusal(&request.body(()).unwrap());
            let found = found.map(|(status, _)| status);
            assert_eq!(found, expected, "{version:?} {uri} {hosts:?}");
        }
    }

    fn off_loopback(dumps: bool) -> Gate {
        Gate {
            loopback: false,
            dumps,
            hosts: Arc::default(),
        }
    }

    #[test]
    fn off_loopback_only_the_old_apis_are_served() {
        let gate = off_loopback(true);
        for good in [
            "/healthz",
            "/healthz/",
            "/healthz/healthz",
            "/api/v1/model/nodes/",
            "/api/v1/model%2Fnodes",
            "/api/v1/dashboard/nodes/n",
            "/api/v1/metric-export",
        ] {
            assert_eq!(gate.refusal(good), None, "{good}");
        }
        for bad in [
            "/",
            "/api/cairn/v1/stream",
            "/api/cairn/v1%2Fstream",
            "/api/cairn/v1/range",
            "/cairn.v1.Query/Range",
            "/grpc.health.v1.Health/Check",
            "/apis/metrics/v1alpha1/nodes",
            "/metrics",
            "/healthzz",
            "/api/v1/modelling",
            "/api/v1/metric-exports",
        ] {
            assert_eq!(gate.refusal(bad), Some(ELSEWHERE), "{bad}");
        }
    }

    #[test]
    fn every_route_off_loopback_is_served_or_names_where_it_is() {
        for native in native::tests::ALL {
            let path = native::tests::example(native);
            let path = path.split('?').next().unwrap();
            let expected = match native {
                Native::Health | Native::Large(Large::Model | Large::Scraper) => None,
                Native::Large(Large::Export) => Some(DUMP),
                Native::Overview
                | Native::Stream
                | Native::Range
                | Native::Large(
                    Large::Resource
                    | Large::Values
                    | Large::Explain
                    | Large::Workloads
                    | Large::WorkloadRange,
                )
                | Native::Page => Some(ELSEWHERE),
            };
            assert_eq!(off_loopback(false).refusal(path), expected, "{path}");
            let loopback = Gate {
                loopback: true,
                ..off_loopback(false)
            };
            assert_eq!(loopback.refusal(path), None, "{path}");
        }
        assert!(ELSEWHERE.contains("--https-listen"));
    }

    #[test]
    fn dumps_are_served_off_loopback_only_when_allowed() {
        for dump in [
            "/api/v1/metric-export",
            "/api/v1/metric-export-schema/",
            "/api/v1/model/debug/allkeys",
            "/api/v1/model/debug%2Fallkeys",
            "/api/v1%2Fmetric-export",
        ] {
            assert_eq!(off_loopback(false).refusal(dump), Some(DUMP), "{dump}");
            assert_eq!(off_loopback(true).refusal(dump), None, "{dump}");
            let loopback = Gate {
                loopback: true,
                ..off_loopback(false)
            };
            assert_eq!(loopback.refusal(dump), None, "{dump}");
        }
        assert!(DUMP.contains("--http-serve-dumps"));
    }
}
