//! What the Secret has. It is read with suspicion: nothing of it is served before it was judged, and what
//! Cairn did not write is left alone.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cairn_runtime::logging;
use cairn_runtime::tls::{self, Chain};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::make;
use super::plan::{Facts, Next};

/// Names of the Secret's keys. The first two are what every TLS Secret has.
const LEAF_CERT: &str = "tls.crt";
const LEAF_KEY: &str = "tls.key";
const CA_CERT: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const NEXT_CERT: &str = "next-ca.crt";
const NEXT_KEY: &str = "next-ca.key";
const OLD_CERTS: &str = "old-ca.crt";
/// By this key a Secret is known to be Cairn's own.
const MARK: &str = "cairn.json";

const OURS: [&str; 8] = [
    LEAF_CERT, LEAF_KEY, CA_CERT, CA_KEY, NEXT_CERT, NEXT_KEY, OLD_CERTS, MARK,
];

/// CAs that sign no more and are still published: more than two would need a clock that jumps.
const MOST_OLD: usize = 2;

/// Keys that are named in a message.
const MOST_NAMED: usize = 5;

/// A certificate and its key, PEM.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pair {
    cert: String,
    key: String,
}

impl fmt::Debug for Pair {
    // The key is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").finish_non_exhaustive()
    }
}

impl Pair {
    pub(super) fn new(cert: String, key: String) -> Self {
        Self { cert, key }
    }

    pub(super) fn cert(&self) -> &str {
        &self.cert
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

/// What is written down beside the certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Mark {
    next_published_unix_s: Option<u64>,
    old_until_unix_s: Option<u64>,
}

/// All that the Secret has to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) leaf: Pair,
    ca: Pair,
    next: Option<Pair>,
    old: Vec<String>,
    mark: Mark,
    /// Told of it.
    pub(super) facts: Facts,
}

/// What was found in the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing: nobody has written it yet, or somebody emptied it.
    Empty,
    /// Something that Cairn did not write.
    Foreign(String),
    /// Cairn's, and not to be used.
    Broken(String),
    /// Cairn's, with a CA that is whole.
    Good(Box<Held>),
}

/// Reads the Secret and judges what is in it for these names, at this time.
pub(super) fn read(object: &Value, names: &[String], now_s: u64) -> Found {
    let empty = Map::new();
    let data = object["data"].as_object().unwrap_or(&empty);
    if data.is_empty() {
        return Found::Empty;
    }
    if !data.contains_key(MARK) {
        let keys: Vec<&str> = data.keys().take(MOST_NAMED).map(String::as_str).collect();
        return Found::Foreign(logging::escape(&keys.join(", ")));
    }
    match Held::of(data, names, now_s) {
        Ok(held) => Found::Good(Box::new(held)),
        Err(why) => Found::Broken(why),
    }
}

impl Held {
    /// Makes a CA and a serving certificate of it.
    pub(super) fn begin(names: &[String], now_s: u64) -> Result<Self, String> {
        let ca = make_ca(now_s)?;
        let leaf = sign(&ca, names, now_s)?;
        Self::judged(
            Parts {
                leaf: Some(leaf),
                ca,
                next: None,
                old: Vec::new(),
                mark: Mark::default(),
            },
            names,
            now_s,
        )
    }

    fn of(data: &Map<String, Value>, names: &[String], now_s: u64) -> Result<Self, String> {
        let text = |key: &str| {
            let bytes = STANDARD.decode(data.get(key)?.as_str()?).ok()?;
            String::from_utf8(bytes).ok()
        };
        let pair = |cert, key| Some(Pair::new(text(cert)?, text(key)?));
        let ca = pair(CA_CERT, CA_KEY).ok_or("it has no CA, or one that is no text")?;
        // A next CA that is broken has signed nothing: another one is made when it is time.
        let next = pair(NEXT_CERT, NEXT_KEY).filter(|next| one_ca(next).is_ok());
        let mark = text(MARK).and_then(|mark| serde_json::from_str(&mark).ok());
        let old = text(OLD_CERTS).map(|pem| split(&pem)).unwrap_or_default();
        Self::judged(
            Parts {
                leaf: pair(LEAF_CERT, LEAF_KEY),
                ca,
                next,
                old,
                mark: mark.unwrap_or_default(),
            },
            names,
            now_s,
        )
    }

    /// Judges what was read or made.
    fn judged(parts: Parts, names: &[String], now_s: u64) -> Result<Self, String> {
        let Parts {
            leaf,
            ca,
            next,
            old,
            mark,
        } = parts;
        let authority = one_ca(&ca)?;
        let valid = authority
            .validity()
            .ok_or("the dates of its CA are not understood")?;
        let judged = match &leaf {
            Some(leaf) => judge_leaf(leaf, &authority, names, now_s),
            None => Err("there is none, or it is no text".to_owned()),
        };
        let (judged, missing) = match judged {
            Ok((valid, missing)) => (Ok(valid), missing),
            Err(fault) => (Err(fault), Vec::new()),
        };
        let next_facts = next.as_ref().map(|_| Next {
            published_s: mark.next_published_unix_s,
        });
        // Nobody takes what a CA signed once it has ended itself, whatever is written down, or is not any more.
        let ends = old.iter().map(|pem| end_of(pem));
        let old_until_s = ends.max().map(|end_s| {
            let until_s = mark.old_until_unix_s.unwrap_or(u64::MAX);
            until_s.min(end_s)
        });
        Ok(Self {
            leaf: leaf.unwrap_or_else(|| Pair::new(String::new(), String::new())),
            facts: Facts {
                ca: valid,
                leaf: judged,
                missing,
                next: next_facts,
                old_until_s,
            },
            ca,
            next,
            old,
            mark,
        })
    }

    /// All CAs that are to be trusted, PEM: the one that signs first.
    pub(super) fn bundle(&self) -> String {
        let mut bundle = self.ca.cert.clone();
        let next = self.next.as_ref().map(|next| next.cert.as_str());
        for pem in next.into_iter().chain(self.old.iter().map(String::as_str)) {
            if !bundle.ends_with('\n') {
                bundle.push('\n');
            }
            bundle.push_str(pem);
        }
        bundle
    }

    /// The same with a further CA, to be published.
    pub(super) fn with_next(&self, names: &[String], now_s: u64) -> Result<Self, String> {
        let mut parts = self.parts();
        parts.next = Some(make_ca(now_s)?);
        parts.mark.next_published_unix_s = None;
        Self::judged(parts, names, now_s)
    }

    /// The same, with the time written down since when the next CA is published.
    pub(super) fn published(&self, names: &[String], now_s: u64) -> Result<Self, String> {
        let mut parts = self.parts();
        parts.mark.next_published_unix_s = Some(now_s);
        Self::judged(parts, names, now_s)
    }

    /// The same, signed by the next CA.
    pub(super) fn promoted(&self, names: &[String], now_s: u64) -> Result<Self, String> {
        let mut parts = self.parts();
        let next = parts.next.take().ok_or("there is no next CA")?;
        parts.leaf = Some(sign(&next, names, now_s)?);
        let before = std::mem::replace(&mut parts.ca, next);
        parts.old.insert(0, before.cert);
        parts.old.truncate(MOST_OLD);
        let leaf_until_s = match &self.facts.leaf {
            Ok(leaf) => leaf.until_unix_s,
            // Another replica may serve one that is not there any more.
            Err(_) => now_s.saturating_add(make::LEAF_LIFE_S),
        };
        let until_s = parts.mark.old_until_unix_s.unwrap_or(0).max(leaf_until_s);
        parts.mark = Mark {
            next_published_unix_s: None,
            old_until_unix_s: Some(until_s),
        };
        Self::judged(parts, names, now_s)
    }

    /// The same with a new serving certificate.
    pub(super) fn renewed(&self, names: &[String], now_s: u64) -> Result<Self, String> {
        let mut parts = self.parts();
        parts.leaf = Some(sign(&parts.ca, names, now_s)?);
        Self::judged(parts, names, now_s)
    }

    /// The same without CAs that sign no more.
    pub(super) fn without_old(&self, names: &[String], now_s: u64) -> Result<Self, String> {
        let mut parts = self.parts();
        parts.old.clear();
        parts.mark.old_until_unix_s = None;
        Self::judged(parts, names, now_s)
    }

    fn parts(&self) -> Parts {
        Parts {
            leaf: Some(self.leaf.clone()),
            ca: self.ca.clone(),
            next: self.next.clone(),
            old: self.old.clone(),
            mark: self.mark.clone(),
        }
    }

    /// The Secret with this in it; what else it has stays.
    pub(super) fn write(&self, object: &Value) -> Value {
        let mut object = object.clone();
        let mut data = match object["data"].take() {
            Value::Object(data) => data,
            _ => Map::new(),
        };
        for key in OURS {
            data.remove(key);
        }
        let mark = json!(self.mark).to_string();
        let old = self.old.concat();
        let mut put = |key: &str, text: &str| {
            data.insert(key.to_owned(), json!(STANDARD.encode(text)));
        };
        put(LEAF_CERT, &self.leaf.cert);
        put(LEAF_KEY, &self.leaf.key);
        put(CA_CERT, &self.ca.cert);
        put(CA_KEY, &self.ca.key);
        put(MARK, &mark);
        if let Some(next) = &self.next {
            put(NEXT_CERT, &next.cert);
            put(NEXT_KEY, &next.key);
        }
        if !old.is_empty() {
            put(OLD_CERTS, &old);
        }
        object["data"] = Value::Object(data);
        object
    }
}

/// What [`Held`] is made of.
struct Parts {
    leaf: Option<Pair>,
    ca: Pair,
    next: Option<Pair>,
    old: Vec<String>,
    mark: Mark,
}

fn make_ca(now_s: u64) -> Result<Pair, String> {
    make::ca(&format!("cairn ca {now_s}"), now_s).map_err(|error| logging::chain(&error))
}

fn sign(ca: &Pair, names: &[String], now_s: u64) -> Result<Pair, String> {
    let authority = one_ca(ca)?;
    let name = authority
        .subject()
        .map(|subject| subject.common_name)
        .ok_or("the name of its CA is not understood")?;
    let until_s = authority.validity().map_or(0, |valid| valid.until_unix_s);
    make::leaf(names, (ca, &name, until_s), now_s).map_err(|error| logging::chain(&error))
}

/// A CA whose key is its own.
fn one_ca(pair: &Pair) -> Result<Chain, String> {
    let told = |error: tls::Error| format!("its CA: {}", logging::chain(&error));
    let names = ("ca.crt of the Secret", "ca.key of the Secret");
    tls::one_pair(names, pair.cert.as_bytes(), pair.key.as_bytes()).map_err(told)?;
    Chain::parse(names.0, pair.cert.as_bytes()).map_err(told)
}

/// Whether a client that trusts this CA takes the leaf now, for one of the names at least: while replicas are
/// given another Service, those that are new show what the old ones have made. With the names that it lacks.
fn judge_leaf(
    leaf: &Pair,
    authority: &Chain,
    names: &[String],
    now_s: u64,
) -> Result<(tls::Validity, Vec<String>), String> {
    let told = |error: tls::Error| logging::chain(&error);
    let called = ("tls.crt of the Secret", "tls.key of the Secret");
    tls::one_pair(called, leaf.cert.as_bytes(), leaf.key.as_bytes()).map_err(told)?;
    let chain = Chain::parse(called.0, leaf.cert.as_bytes()).map_err(told)?;
    chain.verify(authority, &[], now_s).map_err(told)?;
    let has = |name: &&String| tls::server_name(name).is_ok_and(|name| chain.is_for(&name));
    let missing: Vec<String> = names.iter().filter(|name| !has(name)).cloned().collect();
    if missing.len() == names.len() {
        return Err(format!("it is not for {}", missing.join(", ")));
    }
    let valid = chain.validity().ok_or("its dates are not understood")?;
    Ok((valid, missing))
}

/// When an old CA ends, Unix seconds; 0 when it does not say, for nobody takes such a one.
fn end_of(pem: &str) -> u64 {
    let chain = Chain::parse(OLD_CERTS, pem.as_bytes()).ok();
    let valid = chain.and_then(|chain| chain.validity());
    valid.map_or(0, |valid| valid.until_unix_s)
}

/// The certificates of a PEM text, one by one.
fn split(pem: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let parts = pem.split_inclusive(END).filter(|part| part.contains(END));
    let whole = parts.map(|part| format!("{}\n", part.trim()));
    let good = whole.filter(|part| Chain::parse(OLD_CERTS, part.as_bytes()).is_ok());
    good.take(MOST_OLD).collect()
}

#[cfg(test)]
mod tests;
