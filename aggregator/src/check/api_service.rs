//! Who serves metrics.k8s.io, and how the API server knows it. Pure, but for the reading.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cairn_runtime::logging;
use cairn_runtime::tls::Chain;
use serde::Deserialize;

use super::ask::{Asker, Missed};
use super::dates::{self, Dates};
use super::finding::Finding;
use super::{API_SERVICE, SERVICE};

const CHECK: &str = "api service";
const BUNDLE: &str = "ca bundle";

/// Who serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody.
    Nobody,
    /// Cairn.
    Ours,
    /// Somebody else.
    Theirs,
    /// It was not read.
    Unknown,
}

/// What the `APIService` says.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Whose it is.
    pub(super) owner: Owner,
    /// The CAs by which the API server verifies Cairn.
    pub(super) bundle: Option<Chain>,
    /// What there is to say of it.
    pub(super) findings: Vec<Finding>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    service: Option<Service>,
    ca_bundle: Option<String>,
    #[serde(rename = "insecureSkipTLSVerify")]
    insecure: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Service {
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: String,
    message: String,
}

/// Reads and judges it.
pub(super) async fn look(asker: &Asker, namespace: &str, now_s: u64) -> Seen {
    let path = format!("/apis/apiregistration.k8s.io/v1/apiservices/{API_SERVICE}");
    let right = format!("get apiservices.apiregistration.k8s.io {API_SERVICE}");
    match asker.get::<Object>(&path, &right).await {
        Ok(object) => judge(&object, namespace, now_s),
        Err(Missed::Absent) => {
            let found = "absent: nobody serves metrics.k8s.io";
            Seen::of(
                Owner::Nobody,
                vec![Finding::ok((CHECK, API_SERVICE), found)],
            )
        }
        Err(missed) => {
            let (found, todo) = missed.told("APIService");
            let finding = Finding::warn((CHECK, API_SERVICE), found, todo);
            Seen::of(Owner::Unknown, vec![finding])
        }
    }
}

impl Seen {
    fn of(owner: Owner, findings: Vec<Finding>) -> Self {
        Self {
            owner,
            bundle: None,
            findings,
        }
    }
}

fn judge(Object { spec, status }: &Object, namespace: &str, now_s: u64) -> Seen {
    let Some(Service {
        namespace: within,
        name,
    }) = &spec.service
    else {
        let found = "the API server itself serves it";
        return Seen::of(
            Owner::Theirs,
            vec![Finding::ok((CHECK, API_SERVICE), found)],
        );
    };
    let is_ours = within == namespace && name == SERVICE;
    let available = available(status, &format!("{within}/{name}"), is_ours);
    if !is_ours {
        return Seen::of(Owner::Theirs, vec![available]);
    }
    let (bundle, finding) = bundle(spec, now_s);
    Seen {
        owner: Owner::Ours,
        bundle,
        findings: vec![available, finding],
    }
}

fn available(status: &Status, leads_to: &str, is_ours: bool) -> Finding {
    let condition = status.conditions.iter().find(|c| c.kind == "Available");
    let of = (CHECK, API_SERVICE);
    let whose = if is_ours { "Cairn's" } else { "another's" };
    let found = format!("{whose}: leads to {leads_to}");
    match condition {
        Some(condition) if condition.status == "True" => {
            Finding::ok(of, format!("{found}, Available"))
        }
        Some(Condition {
            reason, message, ..
        }) => {
            let found = format!("{found}, not Available: {reason}: {message}");
            let todo =
                "see the certificates and replicas below; of the rest the API server's log tells";
            if is_ours {
                Finding::fail(of, found, todo)
            } else {
                // Not for us to mend, and nothing of Cairn's is broken by it.
                Finding::warn(
                    of,
                    found,
                    format!("look at {leads_to}, or let Cairn take over"),
                )
            }
        }
        None => Finding::warn(
            of,
            format!("{found}, and the API server has not tried it yet"),
            "wait for some seconds, then check again",
        ),
    }
}

fn bundle(spec: &Spec, now_s: u64) -> (Option<Chain>, Finding) {
    let of = (BUNDLE, API_SERVICE);
    let by_hand = "look whether a replica is ready: the aggregator writes it within some ten seconds; with \
                   tls-files you do (deploy/README.md, Take over)";
    let given = spec.ca_bundle.as_deref().filter(|text| !text.is_empty());
    let Some(given) = given else {
        let finding = if spec.insecure {
            let todo = "apply deploy/overlays/metrics-api: it has insecureSkipTLSVerify: false";
            let found = "insecureSkipTLSVerify: the API server takes anybody for Cairn";
            Finding::fail(of, found, todo)
        } else {
            Finding::fail(of, "absent: the API server cannot verify Cairn", by_hand)
        };
        return (None, finding);
    };
    let decoded = STANDARD
        .decode(given)
        .map_err(|_| "it is not base64".to_owned());
    let parsed = decoded
        .and_then(|pem| Chain::parse("caBundle", &pem).map_err(|error| logging::chain(&error)));
    let chain = match parsed {
        Ok(chain) => chain,
        Err(why) => {
            let found = format!("not understood: {why}");
            return (None, Finding::fail(of, found, by_hand));
        }
    };
    let finding = cas(of, &chain, now_s);
    (Some(chain), finding)
}

/// The CAs of a bundle and how long they are good for.
pub(super) fn cas(of: (&'static str, &str), chain: &Chain, now_s: u64) -> Finding {
    let told: Vec<(Dates, String)> = chain.each().map(|ca| dates::ca(&ca, now_s)).collect();
    let texts: Vec<&str> = told.iter().map(|(_, text)| text.as_str()).collect();
    let count = match texts.len() {
        1 => "1 CA".to_owned(),
        count => format!("{count} CAs"),
    };
    let found = format!("{count}, {}", texts.join(", "));
    let has = |wanted: Dates| told.iter().any(|(dates, _)| *dates == wanted);
    let todo = "see docs/certificates.md: a CA is replaced four months before its end";
    if has(Dates::Good) {
        Finding::ok(of, found)
    } else if has(Dates::Short) {
        Finding::warn(of, found, todo)
    } else {
        Finding::fail(of, found, todo)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::check::finding::State;

    fn judged(spec: &Value, conditions: &Value) -> (Owner, Vec<(State, String)>) {
        let object = from_value(json!({"spec": spec, "status": {"conditions": conditions}}));
        let seen = judge(&object.unwrap(), "cairn", 0);
        let told = seen
            .findings
            .into_iter()
            .map(|finding| (finding.state, finding.found));
        (seen.owner, told.collect())
    }

    #[test]
    fn an_api_service_is_judged_by_where_it_leads_and_whether_it_may_be_verified() {
        let ours = json!({"namespace": "cairn", "name": "cairn-aggregator"});
        let available = json!([{"type": "Available", "status": "True"}]);
        let (owner, told) = judged(&json!({}), &json!([]));
        assert_eq!((owner, told[0].0), (Owner::Theirs, State::Ok));
        // The same names in another namespace are another's.
        let elsewhere = json!({"namespace": "kube-system", "name": "cairn-aggregator"});
        let (owner, told) = judged(&json!({ "service": elsewhere }), &json!([]));
        assert_eq!(
            (owner, told.len(), told[0].0),
            (Owner::Theirs, 1, State::Warn)
        );
        let (owner, told) = judged(&json!({ "service": ours }), &available);
        assert_eq!(
            (owner, told[0].0, told[1].0),
            (Owner::Ours, State::Ok, State::Fail)
        );
        assert!(told[1].1.starts_with("absent"), "{told:?}");
        for (more, says) in [
            (
                json!({"insecureSkipTLSVerify": true}),
                "insecureSkipTLSVerify",
            ),
            (json!({"caBundle": "*"}), "not base64"),
            (json!({"caBundle": "YQ=="}), "not understood"),
        ] {
            let mut spec = json!({ "service": ours });
            spec.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let (_, told) = judged(&spec, &available);
            assert!(
                told[1].0 == State::Fail && told[1].1.contains(says),
                "{told:?}"
            );
        }
    }
}
