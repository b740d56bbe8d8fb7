//! How the API server says that its proxy is known. Pure, but for the reading.

use std::collections::HashMap;

use cairn_runtime::logging;
use serde::Deserialize;
use serde_json::json;

use super::ask::{Asker, Missed};
use super::finding::Finding;
use crate::access::Published;

const CHECK: &str = "front proxy";
const NAME: &str = "extension-apiserver-authentication";

#[derive(Deserialize)]
struct ConfigMap {
    #[serde(default)]
    data: HashMap<String, String>,
}

/// Reads and judges it.
pub(super) async fn look(asker: &Asker) -> Vec<Finding> {
    let path = format!("/api/v1/namespaces/kube-system/configmaps/{NAME}");
    let right = format!("get configmaps in kube-system {NAME}");
    let of = (CHECK, NAME);
    vec![match asker.get::<ConfigMap>(&path, &right).await {
        Ok(ConfigMap { data }) => judge(&data),
        Err(Missed::Absent) => Finding::fail(
            of,
            "absent: the API server has written nothing of its proxy",
            NOT_CONFIGURED,
        ),
        Err(missed) => {
            let (found, todo) = missed.told("ConfigMap");
            Finding::warn(of, found, todo)
        }
    }]
}

const NOT_CONFIGURED: &str = "start the API server with --requestheader-client-ca-file and \
                              --requestheader-allowed-names=front-proxy-client: without them kubectl top and \
                              autoscalers are refused";

fn judge(data: &HashMap<String, String>) -> Finding {
    let of = (CHECK, NAME);
    let object = json!({ "data": data }).to_string();
    let published = match Published::parse(object.as_bytes()) {
        Ok(published) => published,
        Err(error) => {
            let todo = "the API server writes it: check its --requestheader flags and their files";
            return Finding::fail(of, logging::chain(&error), todo);
        }
    };
    let Some(proxy) = published.front_proxy else {
        let found = "it has no requestheader-client-ca-file: the API server has no front proxy";
        return Finding::fail(of, found, NOT_CONFIGURED);
    };
    if !proxy.names.is_empty() {
        return Finding::ok(
            of,
            format!("known by its CA and the name {}", proxy.names.join(" or ")),
        );
    }
    let clients = published.clients.as_ref();
    if clients.is_some_and(|clients| proxy.trust.shares_issuer(clients)) {
        return Finding::fail(
            of,
            "its CA signs client certificates too, and any name is allowed: Cairn takes no header from it, \
             so kubectl top and autoscalers are refused",
            "start the API server with --requestheader-allowed-names=front-proxy-client (the common name \
             of its --proxy-client-cert-file), or give its proxy a CA of its own",
        );
    }
    Finding::ok(of, "known by a CA of its own, under any name")
}

#[cfg(test)]
mod tests {
    use testkit::pki::Pki;

    use super::*;
    use crate::check::finding::State;

    const RECORDED: &[u8] = include_bytes!(
        "../../../tests/fixtures/apiserver-1.36/extension-apiserver-authentication.json"
    );

    fn judged(change: impl FnOnce(&mut HashMap<String, String>)) -> (State, String) {
        let ConfigMap { mut data } = serde_json::from_slice(RECORDED).unwrap();
        change(&mut data);
        let finding = judge(&data);
        (finding.state, finding.found)
    }

    #[test]
    fn a_proxy_is_known_by_its_ca_and_name_or_by_a_ca_of_its_own() {
        const NAMES: &str = "requestheader-allowed-names";
        assert_eq!(judged(|_| {}).0, State::Ok);
        let any = |data: &mut HashMap<String, String>| drop(data.insert(NAMES.into(), "[]".into()));
        let (state, found) = judged(any);
        assert!(
            state == State::Ok && found.contains("under any name"),
            "{found}"
        );
        let (state, found) = judged(|data| {
            any(data);
            let ca = data["requestheader-client-ca-file"].clone();
            let both = format!("{}{ca}", data["client-ca-file"]);
            data.insert("client-ca-file".into(), both);
        });
        assert!(
            state == State::Fail && found.contains("takes no header"),
            "{found}"
        );
        let (state, found) = judged(|data| drop(data.remove("requestheader-client-ca-file")));
        assert!(
            state == State::Fail && found.contains("no front proxy"),
            "{found}"
        );
        let (state, _) = judged(|data| drop(data.insert(NAMES.into(), "name".into())));
        assert_eq!(state, State::Fail);
    }

    /// As what asks judges it: a certificate that verifies by both CAs is nobody's in particular.
    #[test]
    fn a_ca_of_the_proxy_is_one_of_clients_by_its_name_and_key() {
        let dir = tempfile::tempdir().unwrap();
        let ca = Pki::new(dir.path()).unwrap().ca("kubernetes").unwrap();
        let read = |file| std::fs::read_to_string(file).unwrap();
        let proxy = read(ca.cert_pem.clone());
        for (common_name, expected) in [("kubernetes", State::Fail), ("another", State::Ok)] {
            let clients = read(ca.again("clients", common_name).unwrap());
            assert_ne!(clients, proxy);
            let (state, found) = judged(|data| {
                let put = |(key, value): (&str, &String)| (key.to_owned(), value.clone());
                let both = [
                    ("client-ca-file", &clients),
                    ("requestheader-client-ca-file", &proxy),
                ];
                data.extend(both.map(put));
                drop(data.insert("requestheader-allowed-names".into(), "[]".into()));
            });
            assert_eq!(state, expected, "{common_name}: {found}");
        }
    }
}
