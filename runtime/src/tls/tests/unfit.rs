//! Certificates of a trusted CA and for the right name that are no server's all the same.

use rcgen::ExtendedKeyUsagePurpose;

use super::*;

/// A certificate for node1 that is made otherwise than usual, with its key.
fn unusual(ca: &Authority, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
    let mut params = CertificateParams::new(vec!["node1".to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &ca.issuer).unwrap();
    (certificate.pem(), key.serialize_pem())
}

#[tokio::test]
async fn a_certificate_that_is_no_servers_is_refused_as_a_certificate_unless_it_is_pinned() {
    let (files, ca) = (Files::new(), authority("cluster"));
    let of_a_ca = unusual(&ca, |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let of_a_client = unusual(&ca, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    for (pair, cause) in [
        (of_a_ca, "CaUsedAsEndEntity"),
        (of_a_client, "extended key usage"),
    ] {
        let (address, _tasks) = echo(&files.serve(&pair)).await;
        let error = connect(files.trust_ca(&ca), "node1", address)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ConnectKind::Certificate, "{error:?}");
        let text = error.to_string();
        for part in [
            "(for node1, expected node1)",
            cause,
            "or --kubelet-cert to the certificate itself",
        ] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        assert!(!text.contains("OtherError"), "{text}");
        connect(files.trust_pin(&pair.0), "node1", address)
            .await
            .unwrap();
    }
}
