//! Tokens as an API server signs them, and the documents by which they are known.

use anyhow::{Result, anyhow};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::review::Minted;
use super::{ApiServer, Control};

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// When tokens end that are signed here, Unix s: after every test, whatever clock it has.
const ENDS_S: u64 = 4_000_000_000;

/// A key that signs tokens.
#[derive(Debug)]
pub struct Signer {
    id: String,
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Signer {
    /// Makes a key of this id.
    ///
    /// # Errors
    ///
    /// When there is no randomness.
    pub fn new(id: &str) -> Result<Self> {
        let random = SystemRandom::new();
        let by = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(by, &random);
        let pkcs8 = pkcs8.map_err(|_| anyhow!("no key can be made"))?;
        let pair = EcdsaKeyPair::from_pkcs8(by, pkcs8.as_ref(), &random);
        Ok(Self {
            id: id.to_owned(),
            pair: pair.map_err(|error| anyhow!("the key is refused: {error}"))?,
            random,
        })
    }

    /// Publishes the key as that of the API server.
    pub fn publish(&self, server: &ApiServer) {
        let control = server.control();
        let uri = format!("{ISSUER}/openid/v1/jwks");
        let configuration = json!({"issuer": ISSUER, "jwks_uri": uri});
        control.put_document("/.well-known/openid-configuration", configuration);
        control.put_document("/openid/v1/jwks", json!({"keys": [self.key()]}));
    }

    /// Signs a token, which reviews know from now on.
    ///
    /// # Errors
    ///
    /// When it cannot be signed.
    pub fn mint(&self, control: &Control, minted: Minted) -> Result<String> {
        let token = self.sign(&minted)?;
        control.know(&token, minted);
        Ok(token)
    }

    /// Signs a token that nobody else knows of.
    ///
    /// # Errors
    ///
    /// When it cannot be signed.
    pub fn sign(&self, minted: &Minted) -> Result<String> {
        self.sign_until(minted, ENDS_S)
    }

    /// Signs a token that says of itself that it ends then, Unix s.
    ///
    /// # Errors
    ///
    /// When it cannot be signed.
    pub fn sign_until(&self, minted: &Minted, ends_s: u64) -> Result<String> {
        let (namespace, account) = &minted.account;
        let mut bound = json!({
            "namespace": namespace,
            "serviceaccount": {"name": account, "uid": format!("uid-of-{namespace}-{account}")},
        });
        if let Some((_, name, uid)) = &minted.pod {
            bound["pod"] = json!({"name": name, "uid": uid});
        }
        if let Some((name, uid)) = &minted.node {
            bound["node"] = json!({"name": name, "uid": uid});
        }
        let payload = json!({
            "iss": ISSUER, "aud": [minted.audience], "exp": ends_s, "iat": 0, "nbf": 0,
            "sub": format!("system:serviceaccount:{namespace}:{account}"), "kubernetes.io": bound,
        });
        let header = json!({"alg": "ES256", "kid": self.id});
        let signed = format!("{}.{}", part(&header), part(&payload));
        let signature = self.pair.sign(&self.random, signed.as_bytes());
        let signature = signature.map_err(|_| anyhow!("nothing can be signed"))?;
        Ok(format!("{signed}.{}", base64url(signature.as_ref())))
    }

    fn key(&self) -> Value {
        // An uncompressed point: 4, and both coordinates.
        let point = self.pair.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = point.split_at(point.len() / 2);
        json!({
            "use": "sig", "kty": "EC", "kid": self.id, "alg": "ES256", "crv": "P-256",
            "x": base64url(x), "y": base64url(y),
        })
    }
}

fn part(value: &Value) -> String {
    base64url(value.to_string().as_bytes())
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
