//! Where the serving certificate comes from.

use std::path::PathBuf;

use super::review;
use crate::args::{ReviewArgs, ServingArgs};

/// Where the serving certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serving {
    /// From two files, which somebody else writes.
    Files {
        /// The chain, leaf first, PEM.
        cert: PathBuf,
        /// The private key, PEM.
        key: PathBuf,
    },
    /// Made here, and kept in the cluster.
    SelfManaged(SelfManaged),
}

/// The objects by which replicas share what one of them has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfManaged {
    /// The namespace of all of them, and of the Services.
    pub namespace: String,
    /// The Secret of keys and certificates; its Lease has the same name.
    pub secret: String,
    /// The `ConfigMap` in which agents find the CAs.
    pub config_map: String,
    /// The Services that lead here.
    pub services: Vec<String>,
    /// The `APIService` whose caBundle is written; `None` writes none.
    pub api_service: Option<String>,
}

impl SelfManaged {
    /// The names that the certificate has: those by which a Service is called within a cluster.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let within = &self.namespace;
        let of = |service: &String| {
            [
                service.clone(),
                format!("{service}.{within}"),
                format!("{service}.{within}.svc"),
                format!("{service}.{within}.svc.cluster.local"),
            ]
        };
        self.services.iter().flat_map(of).collect()
    }
}

/// Checks the flags; what is wrong goes to `problem`.
pub(super) fn check(
    args: ServingArgs,
    review: &ReviewArgs,
    is_watched: bool,
    mut problem: impl FnMut(String),
) -> Option<Serving> {
    let ServingArgs {
        tls_cert,
        tls_key,
        tls_self_managed,
        tls_secret,
        tls_ca_config_map,
        tls_service,
        tls_api_service,
    } = args;
    if !tls_self_managed {
        if tls_api_service.is_some() {
            problem("--tls-api-service goes with --tls-self-managed".to_owned());
        }
        let Some((cert, key)) = tls_cert.zip(tls_key) else {
            problem(
                "--tls-cert FILE and --tls-key FILE are needed, or --tls-self-managed in a cluster: agents \
                 connect over TLS"
                    .to_owned(),
            );
            return None;
        };
        return Some(Serving::Files { cert, key });
    }
    let mut is_good = true;
    let mut wrong = |text: String| {
        is_good = false;
        problem(text);
    };
    if tls_cert.is_some() || tls_key.is_some() {
        wrong(
            "--tls-self-managed makes a certificate, --tls-cert and --tls-key name one: give either"
                .to_owned(),
        );
    }
    if !is_watched {
        wrong(
            "--tls-self-managed keeps what it makes in a Secret and so needs the Kubernetes API: give \
             --kubernetes-api, or --tls-cert and --tls-key"
                .to_owned(),
        );
    }
    let namespace = review::own_namespace(&review.namespace_file);
    if namespace.is_none() {
        wrong(format!(
            "--tls-self-managed needs to know the namespace of this pod, and {} cannot be read: give \
             --namespace-file",
            review.namespace_file.display()
        ));
    }
    let mut named = |flag: &str, name: &String| {
        if !review::is_name(name) {
            wrong(format!(
                "{flag} {name:?} is no name of an object: letters a to z, digits, - and . are"
            ));
        }
    };
    named("--tls-secret", &tls_secret);
    named("--tls-ca-config-map", &tls_ca_config_map);
    tls_service
        .iter()
        .for_each(|name| named("--tls-service", name));
    tls_api_service
        .iter()
        .for_each(|name| named("--tls-api-service", name));
    if tls_service.is_empty() {
        wrong("--tls-service has no name: give the Services that lead here".to_owned());
    }
    let managed = SelfManaged {
        namespace: namespace?,
        secret: tls_secret,
        config_map: tls_ca_config_map,
        services: tls_service,
        api_service: tls_api_service,
    };
    is_good.then_some(Serving::SelfManaged(managed))
}
