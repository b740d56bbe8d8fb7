//! Service-account tokens, read and verified here: what one says is known without asking the API
//! server, so that a fleet that reconnects at once needs none of its time.
//!
//! Of JOSE, as much as API servers sign with: RS256, RS384, RS512, ES256 and ES384. A token that uses
//! anything else is left to the API server's own review.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;

/// Keys that are taken of a set: two while they are rotated, and those of a few control planes.
const MOST_KEYS: usize = 64;

/// Before a token's `nbf`, seconds that clocks may differ by.
const LEEWAY_S: u64 = 30;

/// SHA-256 of a token: what it is looked up by, so that how long that takes says nothing about the tokens
/// that there are, and so that none is kept where its answer is.
pub type Hash = [u8; 32];

/// The hash of a token.
#[must_use]
pub fn hash(token: &[u8]) -> Hash {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, token).as_ref());
    out
}

/// Why a token is not known from what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is not three parts of base64url with JSON in the first two, or lacks what every
    /// service-account token has.
    #[error("it is no service-account token")]
    Form,
    /// No key of the set has its `kid`, or its algorithm is not one of these.
    #[error("no key of the cluster that is known here signed it")]
    UnknownKey,
    /// Its key did not sign it.
    #[error("its signature is not the cluster's")]
    Signature,
}

/// What a token says, and a key of the cluster signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who signed it.
    pub issuer: String,
    /// Whom it is meant for.
    pub audiences: Vec<String>,
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub username: String,
    /// Its namespace, which is also its pod's.
    pub namespace: String,
    /// Name and UID of the pod that it is bound to.
    pub pod: Option<(String, String)>,
    /// Node of the pod, from Kubernetes 1.30 on.
    pub node: Option<String>,
    /// It is good before this, Unix ms.
    pub expires_ms: u64,
    /// It is good from this on, Unix ms.
    pub begins_ms: u64,
}

/// Public keys by which an API server's tokens are known.
#[derive(Debug, Default)]
pub struct Keys {
    issuer: String,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    id: String,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    // Uncompressed point.
    P256(Vec<u8>),
    P384(Vec<u8>),
}

impl Keys {
    /// Reads a key set (`/openid/v1/jwks`) of the issuer that `/.well-known/openid-configuration`
    /// names. Keys of other kinds are passed over.
    ///
    /// # Errors
    ///
    /// When either is not JSON of that form.
    pub fn parse(configuration: &[u8], set: &[u8]) -> Result<Self, serde_json::Error> {
        let Configuration { issuer } = serde_json::from_slice(configuration)?;
        let set: Set = serde_json::from_slice(set)?;
        let keys = set.keys.into_iter().take(MOST_KEYS).filter_map(Key::read);
        Ok(Self {
            issuer,
            keys: keys.collect(),
        })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// What a token says, once its signature is found to be of one of these keys. When it is good is
    /// for [`Claims::is_current`].
    ///
    /// # Errors
    ///
    /// See [`Fault`].
    pub fn verify(&self, token: &str) -> Result<Claims, Fault> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Fault::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(Fault::Form)?;
        let header: Header = json(header)?;
        let payload: Payload = json(payload)?;
        let signature = bytes(signature)?;
        let mut keys = self.keys.iter().filter(|key| {
            let named = header.kid.as_ref();
            named.is_none_or(|kid| *kid == key.id) && key.fits(&header.alg)
        });
        let mut any = false;
        let is_signed = keys.any(|key| {
            any = true;
            key.signed(&header.alg, signed.as_bytes(), &signature)
        });
        match (is_signed, any) {
            (true, _) if payload.iss == self.issuer => Ok(payload.claims()),
            // Another control plane's, which this one's API server may know.
            (true, _) | (false, false) => Err(Fault::UnknownKey),
            (false, true) => Err(Fault::Signature),
        }
    }
}

impl Claims {
    /// True while the token may be used.
    #[must_use]
    pub fn is_current(&self, now_ms: u64) -> bool {
        self.begins_ms <= now_ms.saturating_add(LEEWAY_S * 1_000) && now_ms < self.expires_ms
    }
}

impl Key {
    fn read(key: Jwk) -> Option<Self> {
        let part = |part: &Option<String>| bytes(part.as_deref()?).ok();
        let point = |size: usize| {
            let (x, y) = (part(&key.x)?, part(&key.y)?);
            (x.len() == size && y.len() == size).then(|| [vec![4], x, y].concat())
        };
        let material = match (&*key.kty, key.crv.as_deref()) {
            ("RSA", _) => Material::Rsa {
                n: part(&key.n)?,
                e: part(&key.e)?,
            },
            ("EC", Some("P-256")) => Material::P256(point(32)?),
            ("EC", Some("P-384")) => Material::P384(point(48)?),
            _ => return None,
        };
        let id = key.kid.unwrap_or_default();
        Some(Self { id, material })
    }

    fn fits(&self, algorithm: &str) -> bool {
        match self.material {
            Material::Rsa { .. } => rsa(algorithm).is_some(),
            Material::P256(_) => algorithm == "ES256",
            Material::P384(_) => algorithm == "ES384",
        }
    }

    fn signed(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        let by_point = |by: &'static dyn VerificationAlgorithm, point: &[u8]| {
            let key = UnparsedPublicKey::new(by, point);
            key.verify(message, signature).is_ok()
        };
        match &self.material {
            Material::Rsa { n, e } => rsa(algorithm).is_some_and(|by| {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(by, message, signature).is_ok()
            }),
            Material::P256(point) => by_point(&ECDSA_P256_SHA256_FIXED, point),
            Material::P384(point) => by_point(&ECDSA_P384_SHA384_FIXED, point),
        }
    }
}

/// When a token ends, Unix ms, as it says itself: only of one that somebody else found to be good.
#[must_use]
pub fn expiry_ms(token: &str) -> Option<u64> {
    let payload = token.split('.').nth(1)?;
    let End { exp } = json(payload).ok()?;
    Some(exp.saturating_mul(1_000))
}

fn rsa(algorithm: &str) -> Option<&'static RsaParameters> {
    match algorithm {
        "RS256" => Some(&RSA_PKCS1_2048_8192_SHA256),
        "RS384" => Some(&RSA_PKCS1_2048_8192_SHA384),
        "RS512" => Some(&RSA_PKCS1_2048_8192_SHA512),
        _ => None,
    }
}

fn bytes(part: &str) -> Result<Vec<u8>, Fault> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Fault::Form)
}

fn json<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, Fault> {
    serde_json::from_slice(&bytes(part)?).map_err(|_| Fault::Form)
}

#[derive(Deserialize)]
struct Configuration {
    issuer: String,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Payload {
    iss: String,
    aud: Audience,
    exp: u64,
    #[serde(default)]
    nbf: u64,
    #[serde(rename = "kubernetes.io")]
    bound: Bound,
}

#[derive(Deserialize)]
struct End {
    exp: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Bound {
    namespace: String,
    serviceaccount: Named,
    pod: Option<Named>,
    node: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    uid: String,
}

impl Payload {
    fn claims(self) -> Claims {
        let Bound {
            namespace,
            serviceaccount,
            pod,
            node,
        } = self.bound;
        Claims {
            issuer: self.iss,
            audiences: match self.aud {
                Audience::One(one) => vec![one],
                Audience::Many(many) => many,
            },
            username: format!("system:serviceaccount:{namespace}:{}", serviceaccount.name),
            namespace,
            // A token that is bound to a node alone has a node and no pod.
            pod: pod.map(|pod| (pod.name, pod.uid)),
            node: node.map(|node| node.name),
            expires_ms: self.exp.saturating_mul(1_000),
            begins_ms: self.nbf.saturating_mul(1_000),
        }
    }
}

#[cfg(test)]
mod tests;
