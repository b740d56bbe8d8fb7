//! Cairn's own answers on the HTTPS listener: as on the plain one, of what their reader may see.

use std::sync::Arc;

use axum::response::Response;
use cairn_runtime::listen::Peer;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::super::native::Native;
use super::super::needs::Needs;
use super::super::path::Segments;
use super::super::readers::{Admitted, Denied, Of, Readers};
use super::super::{Api, Asked, answer, page, serve};
use super::Secure;

/// What of Cairn's own a path means, and what that is about; `None` of all else.
pub(super) fn wanted(path: &str, query: Option<&str>) -> Option<(Segments, Needs)> {
    let segments = Segments::parse(path).ok()?;
    let native = Native::of(&segments, query);
    let needs = native.needs(&segments, query)?;
    let is_nothing = native == Native::Page && !page::has(&segments.as_strs());
    (!is_nothing).then_some((segments, needs))
}

/// Answers it.
pub(super) async fn answer(secure: &Secure, parts: Parts, wanted: (Segments, Needs)) -> Response {
    let Parts {
        method,
        uri,
        mut headers,
        extensions,
        ..
    } = parts;
    let (segments, needs) = wanted;
    let admitted = secure
        .admit(&mut headers, extensions.get::<Peer>(), needs)
        .await;
    let (api, of) = match admitted {
        Ok(admitted) => admitted,
        Err(denied) => return refused(&denied),
    };
    let asked = Asked {
        method,
        uri,
        headers,
    };
    let response = serve(api, asked, segments).await;
    // What is kept anywhere between is given to nobody else.
    let mut response = answer::of_visible(response, of);
    let headers = response.headers_mut();
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-cache, private"),
        );
    }
    response
}

impl Secure {
    /// Lets a reader in: what they are answered of, and how that is less than they ask for. Takes from the headers
    /// what says who asks.
    ///
    /// # Errors
    ///
    /// See [`Denied`].
    pub(crate) async fn admit(
        &self,
        headers: &mut HeaderMap,
        peer: Option<&Peer>,
        needs: Needs,
    ) -> Result<(Api, Of), Denied> {
        let readers = Readers {
            authenticators: self.authenticators.clone(),
            rights: self.rights.clone(),
            cluster: self.api.cluster.clone(),
            store: Arc::clone(&self.api.store),
            clock: self.api.clock.clone(),
        };
        let shown = peer.and_then(|peer| peer.tls.clone());
        let admitted: Admitted = readers.admit(headers, shown, needs).await?;
        let of = admitted.of;
        Ok((self.api.clone().for_reader(admitted), of))
    }
}

/// Says why somebody is not let in.
fn refused(denied: &Denied) -> Response {
    let status = match denied {
        Denied::Anonymous | Denied::Unauthorized => StatusCode::UNAUTHORIZED,
        Denied::Forbidden(_) | Denied::TooMany => StatusCode::FORBIDDEN,
        Denied::Undecided | Denied::Crowded => StatusCode::SERVICE_UNAVAILABLE,
        Denied::Unheard | Denied::Busy | Denied::Asking => StatusCode::TOO_MANY_REQUESTS,
    };
    let mut response = answer::text(status, denied.to_string());
    let more = match denied {
        Denied::Anonymous | Denied::Unauthorized => (header::WWW_AUTHENTICATE, "Bearer"),
        Denied::Forbidden(_) | Denied::TooMany => return response,
        Denied::Unheard | Denied::Undecided | Denied::Busy => (header::RETRY_AFTER, "1"),
        // A round of a few hundred takes so long.
        Denied::Asking => (header::RETRY_AFTER, "5"),
        // Nothing is asked again before.
        Denied::Crowded => (header::RETRY_AFTER, "30"),
    };
    let (name, value) = more;
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    response
}
