//! Who asks.
//!
//! In this order: the API server's front proxy, which shows a certificate of a CA of its own and says in
//! headers for whom it asks; a client certificate; a bearer token; else nobody in particular. Who shows what
//! does not hold is refused instead of being taken for nobody. Headers that say who asks are removed from
//! every request, whatever came of them, so that nothing behind this can believe one.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use cairn_runtime::tls::{PeerCertificates, Subject, Trust};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use self::Unproven::Unauthorized;
use super::proxy::{self, FrontProxy};
use super::{Published, Reviews, User};
use crate::cluster::token;

/// It is not known who asks, though something was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// What was shown does not hold.
    #[error("Unauthorized")]
    Unauthorized,
    /// Nobody could look at it: too many tokens wait for their review. It may hold.
    #[error("too many tokens wait for their review: try again in a moment")]
    Busy,
}

/// Who is asked about bearer tokens.
#[derive(Clone, Debug, Default)]
pub enum Tokens {
    /// Nobody: no token is taken.
    #[default]
    Refused,
    /// The Kubernetes API.
    Reviewed(Reviews),
}

impl Tokens {
    async fn review(&self, token: &str) -> Result<User, Unproven> {
        match self {
            Tokens::Refused => Err(Unauthorized),
            Tokens::Reviewed(reviews) => reviews.user(token).await,
        }
    }
}

/// All ways to say who asks.
#[derive(Clone, Debug, Default)]
pub struct Authenticators {
    /// By the front proxy; `None` takes no header.
    pub front_proxy: Option<FrontProxy>,
    /// CAs of client certificates; `None` takes none.
    pub clients: Option<Arc<Trust>>,
    /// By bearer token.
    pub tokens: Tokens,
    /// What the API server publishes of both, where no flag says it: empty until it was read, before which
    /// a certificate cannot be judged. `None` where there is no API server.
    pub published: Option<Arc<ArcSwapOption<Published>>>,
}

impl Authenticators {
    /// Makes a user of what a request says and its connection has proved, and takes from the headers what
    /// says who asks.
    ///
    /// # Errors
    ///
    /// [`Unauthorized`] for who shows a certificate or a token and nothing that holds, [`Unproven::Busy`] for whose
    /// token could not be looked at.
    pub async fn user(
        &self,
        headers: &mut HeaderMap,
        shown: Option<&PeerCertificates>,
    ) -> Result<User, Unproven> {
        let by_certificate = shown.map_or(Ok(None), |shown| self.by_certificate(headers, shown));
        let token = bearer(headers);
        self.strip(headers);
        match (by_certificate, token) {
            (Ok(Some(user)), _) => Ok(user.authenticated()),
            (_, Some(token)) => Ok(self.tokens.review(&token).await?.authenticated()),
            (Ok(None), None) => Ok(User::anonymous()),
            (Err(unproven), None) => Err(unproven),
        }
    }

    /// Until when what proves a user holds, Unix ms; `None` when it does not say. Before [`Self::user`], which
    /// takes it from the headers.
    #[must_use]
    pub fn until_ms(&self, headers: &HeaderMap, shown: Option<&PeerCertificates>) -> Option<u64> {
        let is_proof =
            |shown: &&PeerCertificates| matches!(self.by_certificate(headers, shown), Ok(Some(_)));
        match shown.filter(is_proof) {
            Some(shown) => shown.until_ms(),
            None => token::expiry_ms(&bearer(headers)?),
        }
    }

    /// Of some headers those by which somebody says who asks, to be judged again later.
    #[must_use]
    pub fn evidence(&self, headers: &HeaderMap) -> HeaderMap {
        let published = self.published.as_ref().map(|published| published.load());
        let published = published.as_ref().and_then(|one| one.as_deref());
        let said = headers.iter().filter(|(name, _)| says(published, name));
        said.map(|(name, value)| {
            let mut value = value.clone();
            // It is kept for a while, and shall stand in no log.
            value.set_sensitive(true);
            (name.clone(), value)
        })
        .collect()
    }

    /// Takes away what says who asks.
    fn strip(&self, headers: &mut HeaderMap) {
        let published = self.published.as_ref().map(|published| published.load());
        let published = published.as_ref().and_then(|one| one.as_deref());
        let said = headers.keys().filter(|name| says(published, name));
        let said: Vec<HeaderName> = said.cloned().collect();
        for name in said {
            headers.remove(name);
        }
    }

    /// What has to be read before a certificate can be judged; `None` where flags tell both CAs, or there is no API server.
    #[must_use]
    pub fn awaited(&self) -> Option<&Arc<ArcSwapOption<Published>>> {
        let is_told = self.front_proxy.is_some() && self.clients.is_some();
        self.published.as_ref().filter(|_| !is_told)
    }

    /// The user that a certificate proves; `None` when certificates are not looked at.
    fn by_certificate(
        &self,
        headers: &HeaderMap,
        shown: &PeerCertificates,
    ) -> Result<Option<User>, Unproven> {
        if self
            .awaited()
            .is_some_and(|published| published.load().is_none())
        {
            return Err(Unauthorized);
        }
        let published = self.published.as_ref().map(|published| published.load());
        let published = published.as_ref().and_then(|one| one.as_deref());
        let clients = self.clients.as_ref();
        let clients = clients.or_else(|| published?.clients.as_ref());
        let front_proxy = self.front_proxy.as_ref();
        let front_proxy = front_proxy.or_else(|| published?.front_proxy.as_ref());
        let client = clients.map(|trust| trust.client(shown));
        if let Some(proxy) = front_proxy {
            // Were any name good for a proxy, every user of a CA that signs both would be one.
            let is_ambiguous = proxy.names.is_empty() && matches!(client, Some(Ok(_)));
            if !is_ambiguous
                && proxy.is_it(shown)
                && let Some(user) = proxy.told(headers)
            {
                return Ok(Some(user));
            }
        }
        match client {
            Some(Ok(subject)) => of_subject(subject).map(Some),
            Some(Err(error)) => {
                tracing::debug!(error = %cairn_runtime::logging::chain(&error), "client certificate refused");
                Err(Unauthorized)
            }
            None if front_proxy.is_some() => Err(Unauthorized),
            None => Ok(None),
        }
    }
}

/// True for a header by which somebody says who asks: of any proxy, or of the one that is published.
fn says(published: Option<&Published>, name: &HeaderName) -> bool {
    let proxy = published.and_then(|published| published.front_proxy.as_ref());
    name == AUTHORIZATION || proxy::is_remote(name) || proxy.is_some_and(|proxy| proxy.has(name))
}

fn of_subject(subject: Subject) -> Result<User, Unproven> {
    if subject.common_name.is_empty() {
        return Err(Unauthorized);
    }
    Ok(User {
        name: subject.common_name,
        groups: subject.organizations,
        ..User::default()
    })
}

/// The bearer token of a request, if it has one.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}

#[cfg(test)]
mod tests;
