//! What a kubelet puts into the volumes of a pod.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Pod;
use crate::apiserver::{ApiServer, Minted, Signer};

/// Whom a token is for that says nothing else: the API server.
const OF_API_SERVER: &str = "https://kubernetes.default.svc.cluster.local";

/// Fills one volume at this place.
pub(super) fn fill(
    pod: &Pod,
    volume: &Value,
    at: &Path,
    (server, signer): (&ApiServer, &Signer),
) -> Result<()> {
    fs::create_dir_all(at)?;
    if let Some(sources) = volume["projected"]["sources"].as_array() {
        for source in sources {
            projected(pod, source, at, (server, signer))?;
        }
        return Ok(());
    }
    if volume["configMap"].is_object() {
        return object(
            pod,
            ("configmaps", &volume["configMap"], "name"),
            at,
            server,
        );
    }
    if volume["secret"].is_object() {
        return object(
            pod,
            ("secrets", &volume["secret"], "secretName"),
            at,
            server,
        );
    }
    if volume["emptyDir"].is_object() || volume["hostPath"].is_object() {
        // A directory of the node is whatever the test has put there.
        return Ok(());
    }
    bail!("a volume that nobody fills: {volume}")
}

fn projected(
    pod: &Pod,
    source: &Value,
    at: &Path,
    (server, signer): (&ApiServer, &Signer),
) -> Result<()> {
    if source["configMap"].is_object() {
        return object(
            pod,
            ("configmaps", &source["configMap"], "name"),
            at,
            server,
        );
    }
    let token = &source["serviceAccountToken"];
    if token.is_object() {
        let path = at.join(token["path"].as_str().context("a token without a path")?);
        // It is renewed long before its end, and no test lasts so long.
        if path.exists() {
            return Ok(());
        }
        let audience = token["audience"].as_str().unwrap_or(OF_API_SERVER);
        let minted = Minted::of_pod(&pod.object, audience);
        let (namespace, account) = minted.account.clone();
        let made = signer.mint(server.control(), minted)?;
        if audience == OF_API_SERVER {
            server.control().let_in_account(&made, &namespace, &account);
        }
        return write(&path, made.as_bytes());
    }
    let items = source["downwardAPI"]["items"].as_array();
    for item in items.with_context(|| format!("a source that nobody fills: {source}"))? {
        let path = at.join(item["path"].as_str().context("an item without a path")?);
        let field = item["fieldRef"]["fieldPath"]
            .as_str()
            .context("an item without a field")?;
        write(&path, pod.field(field)?.as_bytes())?;
    }
    Ok(())
}

/// The keys of an object as files: all, or those that are named.
fn object(
    pod: &Pod,
    (resource, source, named): (&'static str, &Value, &str),
    at: &Path,
    server: &ApiServer,
) -> Result<()> {
    let name = source[named].as_str().context("an object without a name")?;
    let namespace = pod.field("metadata.namespace")?;
    let found = server.control().get(resource, &namespace, name);
    let Some(found) = found else {
        let is_optional = source["optional"] == true;
        return if is_optional {
            Ok(())
        } else {
            bail!("there is no {resource} {name}")
        };
    };
    let items = source["items"].as_array();
    for (key, value) in found["data"].as_object().into_iter().flatten() {
        let path = match items {
            None => Some(key.as_str()),
            Some(items) => {
                let mut items = items.iter();
                items
                    .find(|item| item["key"] == **key)
                    .and_then(|item| item["path"].as_str())
            }
        };
        let text = value.as_str().unwrap_or_default();
        let bytes = if resource == "secrets" {
            STANDARD.decode(text)?
        } else {
            text.as_bytes().to_vec()
        };
        if let Some(path) = path {
            write(&at.join(path), &bytes)?;
        }
    }
    Ok(())
}

/// Whole, or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, bytes)?;
    Ok(fs::rename(&fresh, path)?)
}
