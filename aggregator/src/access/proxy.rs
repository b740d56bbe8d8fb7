//! The front proxy of the API server, and the headers in which it says for whom it asks.
//!
//! An API server says `X-Remote-User`, `X-Remote-Group` and `X-Remote-Extra-KEY` to those behind it, whatever its own
//! flags are. What it publishes (`--requestheader-*-headers`) are the names that it takes from a proxy before it; another
//! proxy of the same CA may use those. So the usual ones count, and the published ones where no usual one names a user:
//! of a client's own headers the API server removes the usual ones, and not in all its versions others.

use std::sync::Arc;

use cairn_runtime::tls::{PeerCertificates, Trust};
use http::{HeaderMap, HeaderName};

use super::User;

/// All that says who asks begins so, unless another name is published; more than what is read, so that what a
/// later Kubernetes sends is no way around it.
const REMOTE: &str = "x-remote-";

/// The front proxy of the API server.
#[derive(Clone, Debug)]
pub struct FrontProxy {
    /// CAs of its certificate.
    pub trust: Arc<Trust>,
    /// Common names of which it must have one; empty means any.
    pub names: Vec<String>,
    /// Where it says for whom it asks: the first of these that names a user counts.
    pub headers: Vec<ProxyHeaders>,
}

impl FrontProxy {
    pub(super) fn is_it(&self, shown: &PeerCertificates) -> bool {
        match self.trust.client(shown) {
            Ok(subject) => self.names.is_empty() || self.names.contains(&subject.common_name),
            Err(_) => false,
        }
    }

    /// The user for whom it asks by the headers of a request; `None` when they name none.
    pub(super) fn told(&self, headers: &HeaderMap) -> Option<User> {
        self.headers.iter().find_map(|of| of.told(headers))
    }

    /// True for a header in which it may say so.
    pub(super) fn has(&self, name: &HeaderName) -> bool {
        self.headers.iter().any(|of| of.has(name))
    }
}

/// Names of headers, of which the first with a value counts; every group and every key counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeaders {
    /// Of the user's name.
    pub users: Vec<HeaderName>,
    /// Of the user's UID.
    pub uids: Vec<HeaderName>,
    /// Of the user's groups.
    pub groups: Vec<HeaderName>,
    /// Beginnings of those whose end is a key, in lower case.
    pub extras: Vec<String>,
}

impl Default for ProxyHeaders {
    fn default() -> Self {
        let one = |name| vec![HeaderName::from_static(name)];
        Self {
            users: one("x-remote-user"),
            uids: one("x-remote-uid"),
            groups: one("x-remote-group"),
            extras: vec!["x-remote-extra-".to_owned()],
        }
    }
}

impl ProxyHeaders {
    /// True for a header of these.
    fn has(&self, name: &HeaderName) -> bool {
        let named = [&self.users, &self.uids, &self.groups];
        named.into_iter().flatten().any(|one| one == name) || self.key(name).is_some()
    }

    /// The user that the headers of a request tell; `None` when they name none.
    fn told(&self, headers: &HeaderMap) -> Option<User> {
        let texts = |names: &[HeaderName]| {
            let values = names.iter().flat_map(|name| headers.get_all(name));
            values
                .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
                .map(|text| text.trim().to_owned())
                .collect::<Vec<String>>()
        };
        let first = |names| texts(names).into_iter().find(|text| !text.is_empty());
        let keys = headers.keys().filter_map(|name| {
            let key = self.key(name)?;
            Some((decoded(key), texts(std::slice::from_ref(name))))
        });
        Some(User {
            name: first(&self.users)?,
            uid: first(&self.uids).unwrap_or_default(),
            groups: texts(&self.groups),
            extra: keys.collect(),
        })
    }

    fn key<'a>(&self, name: &'a HeaderName) -> Option<&'a str> {
        let mut extras = self.extras.iter();
        extras.find_map(|prefix| name.as_str().strip_prefix(prefix))
    }
}

/// True for what any proxy says of who asks.
pub(super) fn is_remote(name: &HeaderName) -> bool {
    name.as_str().starts_with(REMOTE)
}

/// The key of a header of extras: `%XX` decoded, in lower case. What is not valid stays as it is.
fn decoded(key: &str) -> String {
    let mut out = Vec::with_capacity(key.len());
    let mut bytes = key.as_bytes();
    while let Some((first, rest)) = bytes.split_first() {
        let digits = rest.split_first_chunk::<2>().filter(|_| *first == b'%');
        let byte = digits.and_then(|(digits, rest)| {
            let text = std::str::from_utf8(digits).ok()?;
            Some((u8::from_str_radix(text, 16).ok()?, rest))
        });
        let (byte, rest) = byte.unwrap_or((*first, rest));
        out.push(byte);
        bytes = rest;
    }
    String::from_utf8_lossy(&out).to_lowercase()
}
