//! The page, embedded in the binary by the build.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};

use super::answer;

/// One file of the built page.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    body: &'static [u8],
}

// `ASSETS: &[Asset]`, made by build.rs from what Vite wrote into web/dist.
include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Nothing from elsewhere, no inline script; uPlot sets style attributes.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The file of a path.
fn file(segments: &[&str]) -> Option<&'static Asset> {
    let path = if segments.is_empty() {
        "index.html".to_owned()
    } else {
        segments.join("/")
    };
    ASSETS.iter().find(|asset| asset.path == path)
}

/// True when there is a file of this path.
pub(super) fn has(segments: &[&str]) -> bool {
    file(segments).is_some()
}

/// Answers a path that is no API's.
pub(super) fn answer(method: &Method, segments: &[&str]) -> Response {
    let Some(asset) = file(segments) else {
        return answer::text(StatusCode::NOT_FOUND, "404 page not found\n");
    };
    // A monitor's HEAD is answered like GET; the server leaves the body out.
    if let Some(refusal) = answer::not_get(method).filter(|_| method != Method::HEAD) {
        return refusal;
    }
    let mut response = Response::new(Body::from(asset.body));
    // Names below assets/ carry a hash of their content; the page itself changes with the binary.
    let caching = if asset.path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(asset.content_type),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    response
}
