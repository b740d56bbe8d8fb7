//! Whether another replica of this process is ready: whether its Service leads anywhere.
//!
//! It is asked by a replica that is not ready itself. So whoever is ready there is another one; for a moment
//! after a container was begun anew in its pod it may be this one still, and the next look says so.

use std::fmt;

use serde::{Deserialize, Deserializer};

use super::Client;
use super::authority::{Asked, Unanswered};

/// Slices of the Service that are read. Each has some hundred endpoints of one family of addresses, so that a
/// Service of aggregators has two at most.
const MOST_SLICES: usize = 10;

/// Who knows of other replicas.
pub trait Replicas: fmt::Debug + Send + Sync {
    /// True when one is ready. Asked by a replica that is not.
    fn another_is_ready(&self) -> Asked<'_, bool>;
}

/// The endpoints of a Service.
#[derive(Clone, Debug)]
pub struct Endpoints {
    client: Client,
    path: String,
}

impl Endpoints {
    /// Those of the Service of this name in this namespace; both are names of objects.
    #[must_use]
    pub fn new(client: Client, namespace: &str, service: &str) -> Self {
        let path = format!(
            "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?limit={MOST_SLICES}\
             &labelSelector=kubernetes.io/service-name={service}"
        );
        Self { client, path }
    }
}

impl Replicas for Endpoints {
    fn another_is_ready(&self) -> Asked<'_, bool> {
        Box::pin(async { any_ready(&self.client.get(&self.path).await?) })
    }
}

/// True when a list of slices has an endpoint that takes requests.
///
/// # Errors
///
/// When it is no such list.
fn any_ready(body: &[u8]) -> Result<bool, Unanswered> {
    let list: List = serde_json::from_slice(body).map_err(|error| Unanswered {
        why: format!("no EndpointSliceList came back: {error}"),
    })?;
    let mut endpoints = list.items.iter().flat_map(|slice| &slice.endpoints);
    // What is not said counts as ready.
    Ok(endpoints.any(|endpoint| endpoint.conditions.ready.unwrap_or(true)))
}

#[derive(Deserialize)]
struct List {
    #[serde(deserialize_with = "nullable")]
    items: Vec<Slice>,
}

#[derive(Deserialize)]
struct Slice {
    #[serde(default, deserialize_with = "nullable")]
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default)]
    conditions: Conditions,
}

#[derive(Default, Deserialize)]
struct Conditions {
    #[serde(default)]
    ready: Option<bool>,
}

/// Go writes a list of nothing as `null`.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(endpoints: &str) -> Result<bool, Unanswered> {
        let list = format!(
            r#"{{"kind":"EndpointSliceList","metadata":{{}},"items":[{{"addressType":"IPv4",
                "endpoints":null}},{{"addressType":"IPv6","endpoints":{endpoints}}}]}}"#
        );
        any_ready(list.as_bytes())
    }

    #[test]
    fn whoever_takes_requests_is_ready() {
        for (endpoints, is_ready) in [
            ("null", false),
            ("[]", false),
            (
                r#"[{"addresses":["10.0.0.1"],"conditions":{"ready":true}}]"#,
                true,
            ),
            (
                r#"[{"conditions":{"ready":false}},{"conditions":{"ready":true}}]"#,
                true,
            ),
            // One that is to end serves on, and is not sent anything new.
            (
                r#"[{"conditions":{"ready":false,"serving":true,"terminating":true}}]"#,
                false,
            ),
            (r#"[{"conditions":{}}]"#, true),
            (r#"[{}]"#, true),
        ] {
            assert_eq!(of(endpoints), Ok(is_ready), "{endpoints}");
        }
    }

    #[test]
    fn what_is_no_list_says_nothing() {
        assert!(any_ready(br#"{"items":null}"#).is_ok_and(|is_ready| !is_ready));
        for body in ["", "{}", "[]", r#"{"items":[{"endpoints":7}]}"#] {
            assert!(any_ready(body.as_bytes()).is_err(), "{body}");
        }
    }
}
