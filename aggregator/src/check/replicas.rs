//! The aggregator's replicas, each dialled as the API server does it: which certificate it shows, whether that
//! verifies, and, with a reader's token, what it has.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use cairn_runtime::logging;
use cairn_runtime::tls::{self, Chain, ClientStream, Connector, Trust};
use futures_util::future::join_all;
use serde::Deserialize;

use super::api_service::{self, Owner, Seen};
use super::ask::Missed;
use super::dates::{self, Dates};
use super::finding::Finding;
use super::reading;
use super::{Asked, SERVICE};

const CHECK: &str = "replica";

/// Addresses that are dialled.
const MOST: usize = 16;

/// For TCP and the handshake.
const DEADLINE: Duration = Duration::from_secs(5);

/// Both are null where there is none.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Slice {
    endpoints: Option<Vec<Endpoint>>,
    ports: Option<Vec<Port>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Endpoint {
    addresses: Vec<String>,
    conditions: Conditions,
    target_ref: Target,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Target {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Port {
    name: Option<String>,
    port: Option<u16>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConfigMap {
    data: Data,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    #[serde(rename = "ca.crt")]
    ca: String,
}

/// One address of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    pod: String,
    addr: SocketAddr,
    is_ready: bool,
}

/// By what certificates are judged.
struct Anchors {
    /// What the CAs are of.
    from: &'static str,
    chain: Chain,
}

/// Finds the replicas and looks at each of them.
pub(super) async fn look(asked: &Asked<'_>, seen: &Seen) -> Vec<Finding> {
    let namespace = &asked.config.namespace;
    let (anchors, mut findings) = anchors(asked, seen).await;
    let path = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
    let query = format!("labelSelector=kubernetes.io/service-name%3D{SERVICE}");
    let right = format!("list endpointslices.discovery.k8s.io in {namespace}");
    let service = format!("service {SERVICE}");
    let slices = match asked.asker.list::<Slice>(&path, &query, &right).await {
        Ok(slices) => slices,
        Err(missed) => {
            let (found, todo) = missed.told("EndpointSlice");
            findings.push(Finding::warn((CHECK, service), found, todo));
            return findings;
        }
    };
    let places = places(&slices);
    if places.is_empty() {
        let todo = format!("kubectl -n {namespace} get pods,events: why does no aggregator run?");
        findings.push(Finding::fail((CHECK, service), "there is no replica", todo));
    }
    let looked = places
        .iter()
        .take(MOST)
        .map(|place| one(asked, place, anchors.as_ref()));
    findings.extend(join_all(looked).await.into_iter().flatten());
    if let Some(more) = places.len().checked_sub(MOST).filter(|more| *more > 0) {
        let found = format!("{more} more addresses");
        findings.push(Finding::unasked((CHECK, "others"), found, ""));
    }
    findings
}

/// What the API server verifies by; of what is not its to verify yet, what the agents verify by.
async fn anchors(asked: &Asked<'_>, seen: &Seen) -> (Option<Anchors>, Vec<Finding>) {
    if seen.owner == Owner::Ours {
        let chain = seen.bundle.clone();
        let from = "caBundle";
        return (chain.map(|chain| Anchors { from, chain }), Vec::new());
    }
    let namespace = &asked.config.namespace;
    let of = ("ca bundle", "configmap cairn-ca");
    let path = format!("/api/v1/namespaces/{namespace}/configmaps/cairn-ca");
    let right = format!("get configmaps in {namespace} cairn-ca");
    let found: Result<ConfigMap, Missed> = asked.asker.get(&path, &right).await;
    let data = match found {
        Ok(ConfigMap { data }) => data,
        Err(missed) => {
            let (found, todo) = missed.told("ConfigMap");
            return (None, vec![Finding::warn(of, found, todo)]);
        }
    };
    match Chain::parse("ca.crt", data.ca.as_bytes()) {
        Ok(chain) => {
            let finding = api_service::cas(of, &chain, asked.now_s);
            let from = "cairn-ca";
            (Some(Anchors { from, chain }), vec![finding])
        }
        Err(_) => {
            let todo =
                "look whether a replica is ready: the aggregator writes it; with tls-files you do";
            let found = "it has no CA yet: agents wait for it";
            (None, vec![Finding::fail(of, found, todo)])
        }
    }
}

/// Every address once, in the order of the pods' names.
fn places(slices: &[Slice]) -> Vec<Place> {
    let of_slice = |slice: &Slice| -> Vec<Place> {
        let ports = slice.ports.as_deref().unwrap_or_default();
        let https = ports
            .iter()
            .find(|port| port.name.as_deref() == Some("https"));
        let Some(port) = https.or(ports.first()).and_then(|port| port.port) else {
            return Vec::new();
        };
        let endpoints = slice.endpoints.iter().flatten();
        let going = |of: &Conditions| of.terminating == Some(true);
        let places = endpoints
            .filter(|one| !going(&one.conditions))
            .filter_map(|endpoint| {
                let ip: IpAddr = endpoint.addresses.first()?.parse().ok()?;
                Some(Place {
                    pod: endpoint.target_ref.name.clone(),
                    addr: SocketAddr::from((ip, port)),
                    is_ready: endpoint.conditions.ready != Some(false),
                })
            });
        places.collect()
    };
    let mut places: Vec<Place> = slices.iter().flat_map(of_slice).collect();
    places.sort_by(|a, b| (&a.pod, a.addr).cmp(&(&b.pod, b.addr)));
    places.dedup();
    places
}

async fn one(asked: &Asked<'_>, place: &Place, anchors: Option<&Anchors>) -> Vec<Finding> {
    let Place {
        pod,
        addr,
        is_ready,
    } = place;
    let about = format!("{pod} {addr}");
    let of = (CHECK, about.clone());
    let mut findings = Vec::new();
    if !is_ready {
        let todo = format!(
            "kubectl -n {} logs {pod}: /readyz?verbose on its port 9102 names what it waits for",
            asked.config.namespace
        );
        findings.push(Finding::warn((CHECK, about.clone()), "not ready", todo));
    }
    let (stream, chain) = match dial(asked, *addr).await {
        Ok(shown) => shown,
        Err(why) => {
            let todo = "check the pod, and that a NetworkPolicy lets the API server (and whoever checks) in";
            findings.push(Finding::fail(of, why, todo));
            return findings;
        }
    };
    let Some(anchors) = anchors else {
        let (_, dates) = dates::leaf(&chain, asked.now_s);
        let found = format!("certificate {dates}; there are no CAs to verify it by");
        findings.push(Finding::warn(of, found, "see the ca bundle above"));
        return findings;
    };
    let (finding, is_good) = judge((&asked.host(), asked.now_s), of, &chain, anchors);
    findings.push(finding);
    let token = asked.config.reader_token_file.as_deref();
    match token {
        // A token goes to nobody who has not proved who they are.
        Some(file) if is_good => {
            let of = (about.as_str(), asked.config.namespace.as_str());
            findings.extend(reading::look(of, stream, file, &asked.host()).await);
        }
        Some(_) => {
            let found = "no token is shown to a replica that does not verify";
            findings.push(Finding::unasked((reading::CHECK, about), found, ""));
        }
        None => {
            let found = "what it has: no --reader-token-file is given";
            let todo = "kubectl create token ACCOUNT --audience cairn > FILE, of an account that may list \
                        nodes.metrics.k8s.io";
            findings.push(Finding::unasked((reading::CHECK, about), found, todo));
        }
    }
    findings
}

/// Whether the API server would take this certificate as that of a host, now, Unix seconds.
fn judge(
    (host, now_s): (&str, u64),
    of: (&'static str, String),
    chain: &Chain,
    Anchors {
        from,
        chain: anchors,
    }: &Anchors,
) -> (Finding, bool) {
    let (how, dates) = dates::leaf(chain, now_s);
    let name = tls::server_name(host).ok();
    let verified = chain.verify(anchors, name.as_slice(), now_s);
    let renew = "see docs/certificates.md: it is renewed when ten days are left, by the replica that holds the \
                 Lease; what keeps it from that is in that replica's /readyz?verbose";
    let Err(error) = verified else {
        let found = format!("verifies by {from} as {host}, {dates}");
        return match how {
            Dates::Good => (Finding::ok(of, found), true),
            _ => (Finding::warn(of, found, renew), true),
        };
    };
    let is_for = name.is_some_and(|name| chain.is_for(&name));
    let (found, todo) = if how == Dates::Bad {
        (format!("certificate {dates}"), renew.to_owned())
    } else if !is_for {
        let found = format!("certificate is not for {host}, {dates}");
        (
            found,
            format!("make it for {host} (--tls-service), and restart the aggregator"),
        )
    } else if error.is_unsigned() {
        let found = format!("certificate is signed by no CA of {from}, {dates}");
        (
            found,
            format!(
                "put the CA that signed it into {from}: the aggregator does with --tls-self-managed"
            ),
        )
    } else {
        let why = logging::chain(&error);
        (
            format!("certificate does not verify by {from}: {why}"),
            "make it anew, for servers (extendedKeyUsage serverAuth), and with it whatever stands between it and \
             its CA: --tls-self-managed does (docs/certificates.md)"
                .to_owned(),
        )
    };
    (Finding::fail(of, found, todo), false)
}

/// Connects without judging, so that also of a bad certificate there is something to say. Nothing is sent on the
/// connection before the chain was judged.
async fn dial(asked: &Asked<'_>, addr: SocketAddr) -> Result<(ClientStream, Chain), String> {
    let name = tls::server_name(&asked.host()).map_err(|error| error.to_string())?;
    let connector = Connector::new(Trust::insecure(), name, &["h2"]);
    let stream = connector.connect(addr, DEADLINE).await;
    let stream = stream.map_err(|error| logging::chain(&error))?;
    let shown = stream.get_ref().1.peer_certificates();
    let chain = shown.and_then(Chain::shown);
    let chain = chain.ok_or_else(|| format!("{addr} shows no certificate"))?;
    Ok((stream, chain))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};
    use testkit::pki::{Pki, Request, Validity};

    use super::*;
    use crate::check::finding::State;

    const HOST: &str = "cairn-aggregator.cairn.svc";

    /// 2027, in which the certificates of the kit are good.
    const NOW_S: u64 = 1_800_000_000;

    fn chain(file: &std::path::Path) -> Chain {
        Chain::parse("a file", &std::fs::read(file).unwrap()).unwrap()
    }

    #[test]
    fn a_certificate_that_does_not_verify_is_told_by_what_is_wrong_with_it() {
        let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [ca, same_name] = dirs
            .each_ref()
            .map(|dir| Pki::new(dir.path()).unwrap().ca("serving").unwrap());
        let other = Pki::new(dirs[0].path()).unwrap().ca("other").unwrap();
        let anchors = Anchors {
            from: "caBundle",
            chain: chain(&ca.cert_pem),
        };
        let told = |leaf: Request<'_>| {
            let shown = chain(&leaf.write().unwrap().cert_pem);
            let of = (CHECK, "a".to_owned());
            let (finding, is_good) = judge((HOST, NOW_S), of, &shown, &anchors);
            assert_eq!(is_good, finding.state == State::Ok);
            assert_eq!(is_good, finding.todo.is_empty());
            finding.found
        };
        let unsigned = "certificate is signed by no CA of caBundle, ";
        for (leaf, found) in [
            (ca.leaf("good").dns(&[HOST]), "verifies by caBundle as "),
            (other.leaf("other").dns(&[HOST]), unsigned),
            (same_name.leaf("same-name").dns(&[HOST]), unsigned),
            (
                ca.leaf("old").dns(&[HOST]).validity(Validity::Expired),
                "certificate expired on 2022-01-01",
            ),
            (
                ca.leaf("elsewhere").dns(&["localhost"]),
                "certificate is not for cairn-aggregator.cairn.svc, ",
            ),
            (
                ca.leaf("client").dns(&[HOST]).client(),
                "certificate does not verify by caBundle: a client would refuse the certificate: ",
            ),
        ] {
            let told = told(leaf);
            assert!(told.starts_with(found), "{told}");
        }
    }

    #[test]
    fn every_address_is_found_once_and_those_that_go_are_left_out() {
        let slices: Vec<Slice> = from_value(json!([
            {"ports": [{"name": "grpc", "port": 9443}, {"name": "https", "port": 10250}], "endpoints": [
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false}, "targetRef": {"name": "b"}},
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "targetRef": {"name": "a"}},
                {"addresses": ["10.0.0.3"], "conditions": {"terminating": true}, "targetRef": {"name": "c"}},
                {"addresses": ["no address"], "targetRef": {"name": "d"}}]},
            {"ports": [{"name": "https", "port": 10250}], "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {}, "targetRef": {"name": "a"}},
                {"addresses": ["fd00::1"], "targetRef": {"name": "a"}}]},
            {"endpoints": [{"addresses": ["10.0.0.9"]}]},
            {"endpoints": null, "ports": null},
        ]))
        .unwrap();
        let places = places(&slices);
        let told: Vec<String> = places
            .iter()
            .map(|place| format!("{} {} {}", place.pod, place.addr, place.is_ready))
            .collect();
        assert_eq!(
            told,
            [
                "a 10.0.0.1:10250 true",
                "a [fd00::1]:10250 true",
                "b 10.0.0.2:10250 false"
            ]
        );
    }
}
