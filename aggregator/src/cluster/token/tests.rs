//! Tokens as an API server makes them, signed with keys that are made here.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

struct Signer {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let by = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(by, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(by, pkcs8.as_ref(), &random).unwrap();
        Self { id, pair }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let part = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        json!({
            "use": "sig", "kty": "EC", "kid": self.id, "alg": "ES256", "crv": "P-256",
            "x": part(&point[1..33]), "y": part(&point[33..]),
        })
    }

    fn sign(&self, payload: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": self.id});
        let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", part(&header), part(payload));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.unwrap().as_ref());
        format!("{signed}.{signature}")
    }
}

fn keys(signers: &[&Signer]) -> Keys {
    let set = json!({"keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>()});
    let configuration = json!({"issuer": ISSUER, "jwks_uri": "unused"});
    Keys::parse(
        configuration.to_string().as_bytes(),
        set.to_string().as_bytes(),
    )
    .unwrap()
}

fn payload() -> Value {
    json!({
        "aud": ["cairn-aggregator"], "exp": 2_000, "iat": 1_000, "nbf": 1_000, "iss": ISSUER,
        "jti": "f8c887fa", "sub": "system:serviceaccount:cairn:cairn-agent",
        "kubernetes.io": {
            "namespace": "cairn",
            "node": {"name": "node2", "uid": "8073b3c3"},
            "pod": {"name": "cairn-agent-x", "uid": "11325225"},
            "serviceaccount": {"name": "cairn-agent", "uid": "7d7c3559"},
        },
    })
}

#[test]
fn a_token_that_a_key_of_the_cluster_signed_says_who_it_is() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let claims = keys(&[&old, &new]).verify(&new.sign(&payload())).unwrap();
    assert_eq!(claims.username, "system:serviceaccount:cairn:cairn-agent");
    assert_eq!(claims.audiences, ["cairn-aggregator"]);
    let pod = ("cairn-agent-x".to_owned(), "11325225".to_owned());
    assert_eq!(claims.pod, Some(pod));
    assert_eq!(claims.node.as_deref(), Some("node2"));
    let is_current = |s: u64| claims.is_current(s * 1_000);
    assert!(is_current(1_000) && is_current(1_999) && is_current(971));
    assert!(!is_current(2_000) && !is_current(969));
}

#[test]
fn a_token_of_another_key_is_not_known_and_one_that_was_changed_is_refused() {
    let (ours, other) = (Signer::new("a"), Signer::new("b"));
    let keys = keys(&[&ours]);
    let verify = |token: &str| keys.verify(token).unwrap_err();
    assert_eq!(verify(&other.sign(&payload())), Fault::UnknownKey);
    let namesake = Signer::new("a");
    assert_eq!(verify(&namesake.sign(&payload())), Fault::Signature);
    let good = ours.sign(&payload());
    let mut changed = payload();
    changed["kubernetes.io"]["node"]["name"] = "node1".into();
    let parts: Vec<&str> = good.split('.').collect();
    let body = URL_SAFE_NO_PAD.encode(changed.to_string());
    let forged = format!("{}.{body}.{}", parts[0], parts[2]);
    assert_eq!(verify(&forged), Fault::Signature);
    let mut foreign = payload();
    foreign["iss"] = "https://elsewhere".into();
    assert_eq!(verify(&ours.sign(&foreign)), Fault::UnknownKey);
}

#[test]
fn an_algorithm_that_is_not_the_keys_is_never_taken() {
    let ours = Signer::new("a");
    let keys = keys(&[&ours]);
    let good = ours.sign(&payload());
    let rest = good.split_once('.').unwrap().1;
    for header in [
        json!({"alg": "none", "kid": "a"}),
        json!({"alg": "HS256", "kid": "a"}),
        json!({"alg": "RS256", "kid": "a"}),
    ] {
        let token = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()));
        assert_eq!(keys.verify(&token), Err(Fault::UnknownKey), "{header}");
    }
    let unsigned = good.rsplit_once('.').unwrap().0;
    assert_eq!(keys.verify(&format!("{unsigned}.")), Err(Fault::Signature));
}

#[test]
fn what_is_no_service_account_token_is_told_apart() {
    let ours = Signer::new("a");
    let keys = keys(&[&ours]);
    let mut other = payload();
    other["kubernetes.io"] = Value::Null;
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep = format!("{}.e30.", URL_SAFE_NO_PAD.encode(deep));
    for token in [
        "",
        "a",
        "a.b",
        "a.b.c",
        "..",
        "e30.e30.e30",
        &deep,
        &ours.sign(&other),
    ] {
        assert_eq!(keys.verify(token), Err(Fault::Form), "{token:.60}");
    }
}

#[test]
fn keys_of_other_kinds_are_passed_over_and_a_set_is_bounded() {
    let ours = Signer::new("a");
    let mut all = vec![
        json!({"kty": "OKP", "kid": "x", "crv": "Ed25519", "x": "AAAA"}),
        json!({"kty": "EC", "kid": "short", "crv": "P-256", "x": "AAAA", "y": "AAAA"}),
        json!({"kty": "RSA", "kid": "none"}),
        ours.jwk(),
    ];
    let configuration = json!({"issuer": ISSUER}).to_string();
    let parse = |all: &[Value]| {
        let set = json!({"keys": all}).to_string();
        Keys::parse(configuration.as_bytes(), set.as_bytes()).unwrap()
    };
    assert_eq!(parse(&all).count(), 1);
    all = vec![ours.jwk(); 100];
    assert!(parse(&all).count() <= MOST_KEYS);
    assert!(Keys::parse(b"{}", b"{}").is_err());
}

/// Modulus of a key that was made for this test with `openssl genrsa 2048` and thrown away.
const RSA_N: &str = "vlYGM-p52ctxsySada9Lww_E03RdRqEJL3HOuRBpCg5_sKrhaAz2RQ_xySDcfhl0bWlqjT7RjyfgjLQjq69oGLDF\
     _t3hta3h1WmPiA5B7OmEgPH2wjg-yK4qwi7Na8dLoONuaNIgHt4jelFDF_kzBNPOy-g9eo-A2kIEJ_wjVFyyDIGJ\
     IKoQrqWLE2OKX1_qOYhGgTMuVkq3aqJ8Q9xA7yrT-_EDrByq10opWzII4HsdtLWnt8hn6_T6jqKadyyDfo-aoo1a\
     NB_lK_e8naxWDeIrHYU8Hi6wq1uw1cI1q__bXzocRjjWLbP6A-FOKzM3j5U635YNmyoMbjA1FkBKgQ";

/// Signed by it with `openssl dgst -sha256 -sign`.
const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InIifQ.eyJhdWQiOiJjYWlybi1hZ2dyZWdhdG9yIiwiZXhwIjoyMDAwLCJpc\
     3MiOiJodHRwczovL2t1YmVybmV0ZXMuZGVmYXVsdC5zdmMuY2x1c3Rlci5sb2NhbCIsImt1YmVybmV0ZXMuaW8iO\
     nsibmFtZXNwYWNlIjoiY2Fpcm4iLCJzZXJ2aWNlYWNjb3VudCI6eyJuYW1lIjoiY2Fpcm4tYWdlbnQifX19.ix-x\
     xD_kPNyfOrN_EhyEdZ5IqYnM-C1PJxTL1W3BZW5y08C9mQ_t4uHfbN7wmn8VDnLQ3RraM_W0eWgvUmeGT0faVESU\
     sfHljKGTlFLsSFWlx7iT8W18x_mSpsecmh8Qzk9Xs9Ywz4upe-s2tdOVE5daMALvDmZFHq9Ul4M6NfbC5ZqDiQzb\
     R5E1urhu102FKMc_ex-zlrgG-k1oMDy-YSd137FHXsjXIai1yMwioa5NboaNef9mreX_9uWYlQZyeyoKjtQDXNt7\
     VsgM2TUIPDOSgTw5B8vYFVQKgImTz_mb3ankYqMLzBr45APg72VmndiYmfYdiPg1GUuWtYmWow";

#[test]
fn rsa_is_what_most_clusters_sign_with() {
    let set = json!({"keys": [{"kty": "RSA", "kid": "r", "n": RSA_N, "e": "AQAB"}]}).to_string();
    let configuration = json!({"issuer": ISSUER}).to_string();
    let keys = Keys::parse(configuration.as_bytes(), set.as_bytes()).unwrap();
    let claims = keys.verify(RSA_TOKEN).unwrap();
    assert_eq!(claims.username, "system:serviceaccount:cairn:cairn-agent");
    assert_eq!((claims.pod, claims.node), (None, None));
    let (signed, signature) = RSA_TOKEN.rsplit_once('.').unwrap();
    let turned: String = signature.chars().rev().collect();
    let verify = |token: &str| keys.verify(token).unwrap_err();
    let changed = verify(&format!("{signed}.{turned}"));
    assert!(
        matches!(changed, Fault::Signature | Fault::Form),
        "{changed}"
    );
}
