//! gzip and deflate, as the first server of the Heapster routes gave them.
//!
//! It looked at the header alone and never at the size: every answer of these routes is
//! compressed for a client that takes either.

use std::io::{self, Write as _};

use axum::body::Body;
use axum::response::Response;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::BodyExt as _;

/// Repeated keys and times shrink well at any level; the lowest costs the least.
const LEVEL: Compression = Compression::fast();

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    // In the format of zlib, as HTTP means it and as Go writes it.
    Deflate,
}

impl Coding {
    /// The first of the two that the client names and does not forbid.
    fn wanted(headers: &HeaderMap) -> Option<Self> {
        let texts = headers.get_all(header::ACCEPT_ENCODING).iter();
        let mut offers = texts
            .filter_map(|text| text.to_str().ok())
            .flat_map(|text| text.split(','));
        offers.find_map(|offer| {
            let (name, parameters) = offer.split_once(';').unwrap_or((offer, ""));
            let coding = match name.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                _ => return None,
            };
            (!is_forbidden(parameters)).then_some(coding)
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
        }
    }

    fn write(self, body: &[u8]) -> io::Result<Vec<u8>> {
        let out = Vec::with_capacity(body.len() / 8 + 64);
        match self {
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(out, LEVEL);
                encoder.write_all(body)?;
                encoder.finish()
            }
            Coding::Deflate => {
                let mut encoder = ZlibEncoder::new(out, LEVEL);
                encoder.write_all(body)?;
                encoder.finish()
            }
        }
    }
}

/// True when the client takes gzip, which it names.
pub(super) fn is_gzip_wanted(headers: &HeaderMap) -> bool {
    Coding::wanted(headers) == Some(Coding::Gzip)
}

/// True for a weight of nothing: `q=0`, `q=0.0`.
fn is_forbidden(parameters: &str) -> bool {
    let weights = parameters.split(';').filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("q")
            .then(|| value.trim().parse::<f32>())
    });
    weights.flatten().any(|weight| weight <= 0.0)
}

/// Compresses an answer for a client that wants it. Takes as long as the body is large: not to be
/// called on a thread that others wait for.
pub(super) fn compressed(headers: &HeaderMap, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    // Caches must know that another client may get other bytes.
    let vary = HeaderValue::from_static("accept-encoding");
    parts.headers.append(header::VARY, vary);
    let Some(coding) = Coding::wanted(headers) else {
        return Response::from_parts(parts, body);
    };
    // Bodies of these routes are in memory, so they are there at once and cannot fail.
    let Some(Ok(plain)) = body.collect().now_or_never() else {
        return super::answer::failed();
    };
    let plain = plain.to_bytes();
    // Writing into memory does not fail either.
    let Ok(mut shorter) = coding.write(&plain) else {
        return Response::from_parts(parts, Body::from(plain));
    };
    // What waits for the client is counted by its bytes.
    shorter.shrink_to_fit();
    let name = HeaderValue::from_static(coding.as_str());
    parts.headers.insert(header::CONTENT_ENCODING, name);
    Response::from_parts(parts, Body::from(shorter))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::{GzDecoder, ZlibDecoder};
    use http::StatusCode;

    use super::super::answer;
    use super::*;

    fn headers(accepts: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for accept in accepts {
            headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(accept));
        }
        headers
    }

    #[test]
    fn the_first_that_is_named_and_not_forbidden_wins() {
        let (gzip, deflate) = (Some(Coding::Gzip), Some(Coding::Deflate));
        for (accepts, expected) in [
            (&["gzip"][..], gzip),
            (&["deflate"], deflate),
            (&["gzip, deflate"], gzip),
            (&["deflate, gzip;q=1.0"], deflate),
            (&["br", "deflate;q=0.1", "gzip"], deflate),
            (&["GZIP ; q=0.5"], gzip),
            (&["gzip;q=0, deflate"], deflate),
            (&["gzip;q=0.000"], None),
            (&["identity", "*", "br"], None),
            (&["gzipped"], None),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(Coding::wanted(&headers(accepts)), expected, "{accepts:?}");
        }
    }

    async fn sent(accept: &'static str) -> (HeaderMap, Vec<u8>) {
        let plain = answer::text(StatusCode::NOT_FOUND, "404: Page Not Found");
        let (parts, body) = compressed(&headers(&[accept]), plain).into_parts();
        assert_eq!(parts.status, StatusCode::NOT_FOUND);
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        (parts.headers, body)
    }

    #[tokio::test]
    async fn bodies_come_back_whole() {
        let mut text = String::new();
        let (found, body) = sent("gzip").await;
        GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
        assert_eq!(text, "404: Page Not Found");
        assert_eq!(found[header::CONTENT_ENCODING], "gzip");
        assert_eq!(found[header::VARY], "accept-encoding");
        assert_eq!(found[header::CONTENT_TYPE], "text/plain; charset=utf-8");
        text.clear();
        let (found, body) = sent("deflate").await;
        ZlibDecoder::new(&*body).read_to_string(&mut text).unwrap();
        assert_eq!(text, "404: Page Not Found");
        assert_eq!(found[header::CONTENT_ENCODING], "deflate");
    }

    #[tokio::test]
    async fn who_takes_neither_gets_it_plain() {
        let (found, body) = sent("br").await;
        assert_eq!(body, b"404: Page Not Found");
        assert_eq!(found.get(header::CONTENT_ENCODING), None);
        assert_eq!(found[header::VARY], "accept-encoding");
    }
}
