use std::net::IpAddr;
use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::{Pki, Validity};

/// Subject, issuer, names, and whether it is an authority, of every certificate of a file.
fn read(path: &Path) -> Vec<(String, String, Vec<String>, bool)> {
    CertificateDer::pem_file_iter(path)
        .unwrap()
        .map(|der| {
            let der = der.unwrap();
            let (_, certificate) = X509Certificate::from_der(&der).unwrap();
            let names = certificate
                .subject_alternative_name()
                .unwrap()
                .into_iter()
                .flat_map(|extension| &extension.value.general_names)
                .map(|name| match name {
                    GeneralName::DNSName(name) => format!("DNS:{name}"),
                    GeneralName::IPAddress(bytes) => format!("IP:{bytes:?}"),
                    other => format!("{other:?}"),
                })
                .collect();
            let (subject, issuer) = (certificate.subject(), certificate.issuer());
            (
                subject.to_string(),
                issuer.to_string(),
                names,
                certificate.is_ca(),
            )
        })
        .collect()
}

#[test]
fn the_default_kubelet_certificate_has_the_recorded_shape() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new(dir.path()).unwrap();
    let leaf = pki.kubelet_default("node1", Validity::Current).unwrap();
    let chain = read(&leaf.cert_pem);
    assert_eq!(chain.len(), 2, "the leaf and then its authority");
    let (subject, issuer, names, is_ca) = &chain[0];
    assert_eq!(subject, "CN=node1@1795331907");
    assert_eq!(issuer, "CN=node1-ca@1795331906");
    assert_eq!(names, &["DNS:node1"], "and no address at all");
    assert!(!is_ca);
    assert_eq!((&chain[1].0, chain[1].3), (issuer, true));
}

#[test]
fn the_bootstrap_kubelet_certificate_is_signed_by_the_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new(dir.path()).unwrap();
    let ca = pki.ca("cluster").unwrap();
    let ip: IpAddr = "192.168.77.11".parse().unwrap();
    let leaf = ca.kubelet_bootstrap("node1", ip).unwrap();
    let chain = read(&leaf.cert_pem);
    assert_eq!(chain.len(), 1);
    let (subject, issuer, names, _) = &chain[0];
    assert_eq!(subject, "O=system:nodes, CN=system:node:node1");
    assert_eq!(issuer, "CN=cluster");
    assert_eq!(names, &["DNS:node1", "IP:[192, 168, 77, 11]"]);
}

#[test]
fn a_server_certificate_has_the_names_asked_for_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Pki::new(dir.path()).unwrap().ca("ca").unwrap();
    let leaf = ca
        .leaf("server")
        .dns(&["localhost", "cairn.monitoring.svc"])
        .ips(&["127.0.0.1".parse().unwrap()])
        .write()
        .unwrap();
    let names = &read(&leaf.cert_pem)[0].2;
    assert_eq!(
        names,
        &[
            "DNS:localhost",
            "DNS:cairn.monitoring.svc",
            "IP:[127, 0, 0, 1]"
        ]
    );
    assert!(read(&ca.cert_pem)[0].3);
    let mode = std::os::unix::fs::MetadataExt::mode(&leaf.key_pem.metadata().unwrap());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn clients_and_expired_certificates_are_marked_so() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Pki::new(dir.path()).unwrap().ca("ca").unwrap();
    let client = ca.leaf("client").client().write().unwrap();
    let expired = ca.leaf("old").validity(Validity::Expired).write().unwrap();
    let der = CertificateDer::from_pem_file(&client.cert_pem).unwrap();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let usage = certificate
        .extended_key_usage()
        .unwrap()
        .unwrap()
        .value
        .clone();
    assert!(usage.client_auth && !usage.server_auth);
    assert!(certificate.validity().is_valid());
    let der = CertificateDer::from_pem_file(&expired.cert_pem).unwrap();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert!(!certificate.validity().is_valid());
}

#[test]
fn an_unwritable_directory_is_named() {
    let error = Pki::new(Path::new("/proc/no/such")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write /proc/no/such: is the directory writable?"
    );
}
