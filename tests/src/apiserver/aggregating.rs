//! The part of an API server that is called kube-aggregator: groups of APIs that somebody else serves.
//!
//! An `APIService` says whose a group is and how that one's certificate is verified. Requests for the group go to
//! an endpoint of its Service that is ready, with the client certificate of the front proxy and with the user in
//! headers. Whether it is served is looked at once a second and stands in the condition `Available`; while that is
//! not true nobody is sent there.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::answer::{self, Body};
use super::control::Control;
use super::rbac::Caller;
use crate::front_proxy::upstream::Upstream;
use crate::pki::Leaf;
use crate::rfc3339;

/// How often it is looked at whether a service serves its group.
const LOOK: Duration = Duration::from_secs(1);

/// A service of the cluster that is none of Cairn's processes: answers of whole paths, which come over a
/// certificate that no CA has signed.
#[derive(Clone, Debug)]
pub struct Stub {
    /// Namespace and name of the Service.
    pub service: (String, String),
    /// Path and answer.
    pub answers: Vec<(String, Value)>,
}

/// What is known of services.
#[derive(Debug, Default)]
pub(super) struct Services {
    /// Shows them who the proxy is.
    pub(super) client: Option<Leaf>,
    pub(super) stubs: Vec<Stub>,
}

/// The groups of APIs that others serve, as discovery has them.
pub(super) fn groups(control: &Control) -> Vec<Value> {
    let services = control.list("apiservices");
    let services = services.iter().filter(|service| is_of_service(service));
    let group = |service: &Value| {
        let spec = &service["spec"];
        let resource = |name: &str, kind: &str, scope: &str| {
            json!({"resource": name, "singularResource": "", "scope": scope, "verbs": ["get", "list"],
                   "responseKind": {"group": spec["group"], "version": spec["version"], "kind": kind}})
        };
        let freshness = if is_available(service) {
            "Current"
        } else {
            "Stale"
        };
        json!({"metadata": {"name": spec["group"]}, "versions": [{
            "version": spec["version"], "freshness": freshness,
            "resources": [resource("nodes", "NodeMetrics", "Cluster"), resource("pods", "PodMetrics", "Namespaced")],
        }]})
    };
    services.map(group).collect()
}

/// Answers a request for a group that somebody else serves; `None` when nobody does.
pub(super) async fn answer<B>(
    control: &Control,
    caller: &Caller,
    request: Request<B>,
) -> Option<Response<Body>> {
    let (parts, _) = request.into_parts();
    let path = parts.uri.path();
    let services = control.list("apiservices");
    let service = services.iter().find(|service| {
        let spec = &service["spec"];
        let root = format!("/apis/{}", text(&spec["group"]));
        let below = path.strip_prefix(&root);
        is_of_service(service) && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })?;
    if !is_available(service) {
        let text = "the server is currently unable to handle the request";
        return Some(answer::refusal(503, "ServiceUnavailable", text));
    }
    let groups: Vec<&str> = caller.groups.iter().map(String::as_str).collect();
    let asked = ask(
        control,
        service,
        ((caller.user.as_str(), groups.as_slice()), &parts),
    )
    .await;
    Some(asked.unwrap_or_else(|error| {
        let text = format!("error trying to reach service: {error:#}");
        answer::refusal(503, "ServiceUnavailable", &text)
    }))
}

/// Says of each service again and again whether it serves its group.
pub(super) async fn look_after(control: Control) {
    loop {
        for service in control.list("apiservices") {
            if !is_of_service(&service) {
                continue;
            }
            let found = served(&control, &service).await;
            note(&control, &service, found);
        }
        sleep(LOOK).await;
    }
}

/// Whether what is served is told by it.
async fn served(control: &Control, service: &Value) -> Result<()> {
    let spec = &service["spec"];
    let path = format!("/apis/{}/{}", text(&spec["group"]), text(&spec["version"]));
    let (parts, ()) = Request::get(&path).body(())?.into_parts();
    let proxy = ("system:kube-aggregator", &["system:masters"][..]);
    let answer = ask(control, service, (proxy, &parts)).await?;
    if answer.status() != StatusCode::OK {
        bail!("bad status from {path}: {}", answer.status().as_u16());
    }
    Ok(())
}

/// Writes the condition, when it has changed and the service is still the one that was asked.
fn note(control: &Control, asked: &Value, found: Result<()>) {
    let (status, reason, message) = match found {
        Ok(()) => ("True", "Passed", "all checks passed".to_owned()),
        Err(error) => {
            let text = format!("failing or missing response: {error:#}");
            ("False", "FailedDiscoveryCheck", text)
        }
    };
    let name = text(&asked["metadata"]["name"]);
    let now = rfc3339::format(control.now_ms() / 1000 * 1000);
    let written = control.get("apiservices", "", name);
    let is_told = written.is_some_and(|held| {
        let told = &held["status"]["conditions"][0];
        told["status"] == status && told["message"] == *message
    });
    if is_told {
        return;
    }
    drop(control.write("apiservices", ("", name), |held| {
        let mut new = held.clone();
        if held["spec"] == asked["spec"] {
            new["status"] = json!({"conditions": [{"type": "Available", "status": status,
                "lastTransitionTime": now, "reason": reason, "message": message}]});
        }
        Ok(new)
    }));
}

/// Asks a service what somebody asks.
async fn ask(
    control: &Control,
    service: &Value,
    (who, asked): ((&str, &[&str]), &http::request::Parts),
) -> Result<Response<Body>> {
    let spec = &service["spec"];
    let (namespace, name) = (
        text(&spec["service"]["namespace"]),
        text(&spec["service"]["name"]),
    );
    let is_verified = spec["insecureSkipTLSVerify"] != true;
    let (stub, client) = control.service(namespace, name);
    if let Some(stub) = stub {
        if is_verified {
            bail!(
                "tls: failed to verify certificate: x509: certificate signed by unknown authority"
            );
        }
        let mut answers = stub.answers.iter();
        let found = answers.find(|(path, _)| path == asked.uri.path());
        return Ok(match found {
            Some((_, body)) => answer::json(StatusCode::OK, body),
            None => answer::refusal(
                404,
                "NotFound",
                "the server could not find the requested resource",
            ),
        });
    }
    if !is_verified {
        bail!("{namespace}/{name} is reached without looking at its certificate");
    }
    let bundle = STANDARD.decode(text(&spec["caBundle"]))?;
    if bundle.is_empty() {
        bail!("tls: failed to verify certificate: x509: certificate signed by unknown authority");
    }
    let endpoint = endpoint(control, namespace, name)
        .with_context(|| format!("no endpoints available for service \"{namespace}/{name}\""))?;
    let host = format!("{name}.{namespace}.svc");
    let client = client.context("there is no front proxy")?;
    let upstream = Upstream::new(endpoint, &host, &bundle, &client)?;
    let answer = upstream.ask(who, asked).await?;
    Ok(answer.map(BodyExt::boxed_unsync))
}

/// Where a Service leads: to the first of its endpoints that is ready.
fn endpoint(control: &Control, namespace: &str, name: &str) -> Option<SocketAddr> {
    let slices = control.list("endpointslices");
    let mut slices = slices.iter().filter(|slice| {
        let meta = &slice["metadata"];
        meta["namespace"] == namespace && meta["labels"]["kubernetes.io/service-name"] == name
    });
    slices.find_map(|slice| {
        let mut endpoints = slice["endpoints"].as_array()?.iter();
        let ready = endpoints.find(|one| one["conditions"]["ready"] == true)?;
        let ip = ready["addresses"][0].as_str()?.parse().ok()?;
        let port = u16::try_from(slice["ports"][0]["port"].as_u64()?).ok()?;
        Some(SocketAddr::new(ip, port))
    })
}

fn is_of_service(service: &Value) -> bool {
    service["spec"]["service"].is_object()
}

fn is_available(service: &Value) -> bool {
    let conditions = service["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|one| one["type"] == "Available" && one["status"] == "True")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
