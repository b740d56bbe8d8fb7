//! Bodies as the API server sends them: one line or indented for people, compressed only when they are large
//! and the client asked for it, and made while they are read.

use std::io::Write as _;
use std::pin::Pin;

use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut as _, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, Stream, StreamExt as _};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::super::{Api, Cut, compress, path};

/// Bodies from here on are worth compressing, bytes.
const LARGE_BYTES: usize = 128 * 1024;

/// Pieces of a body, in their order.
pub(in super::super) type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, Cut>> + Send>>;

/// How a body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct How {
    pub(in super::super) content_type: &'static str,
    pub(in super::super) pretty: bool,
    pub(in super::super) gzip: bool,
}

impl How {
    /// As a request's headers and query say.
    pub(in super::super) fn of(
        headers: &HeaderMap,
        query: Option<&str>,
        content_type: &'static str,
    ) -> Self {
        Self {
            content_type,
            pretty: is_pretty(headers, query),
            gzip: compress::is_gzip_wanted(headers),
        }
    }
}

/// True when people read it: they say so, or come with a program that shows it to them.
pub(in super::super) fn is_pretty(headers: &HeaderMap, query: Option<&str>) -> bool {
    if let Some(text) = path::parameter(query, "pretty") {
        return text != "0" && text != "false";
    }
    let agent = headers.get(header::USER_AGENT);
    let agent = agent.map_or(&b""[..], HeaderValue::as_bytes);
    ["curl", "Wget", "Mozilla/5.0"]
        .iter()
        .any(|name| agent.starts_with(name.as_bytes()))
}

/// JSON on one line and a line break, or indented without one.
pub(in super::super) fn json(value: &impl Serialize, pretty: bool) -> Vec<u8> {
    // Memory does not fail, and what is written has text for keys.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    indented(line, pretty)
}

/// JSON on one line as it is, or indented.
pub(in super::super) fn indented(line: Vec<u8>, pretty: bool) -> Vec<u8> {
    if pretty {
        Indent::default().taken(&line).to_vec()
    } else {
        line
    }
}

/// A body that is there.
pub(in super::super) fn small(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    let private = HeaderValue::from_static("no-cache, private");
    headers.insert(header::CACHE_CONTROL, private);
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// A body that is made while it is read. A small one has its length, as others have it; of one that is known to be
/// long nothing is kept back to find that out. It is indented and compressed in turns, as it is made.
///
/// # Errors
///
/// Why its beginning could not be made; an end that cannot be made breaks the connection off.
pub(in super::super) async fn pieces(
    api: &Api,
    mut pieces: Pieces,
    how: How,
    is_long: bool,
) -> Result<Response, Cut> {
    if how.pretty {
        pieces = api.dressed(pieces, Indent::default(), |indent, piece| {
            Ok(piece.map_or_else(Bytes::new, |piece| indent.taken(&piece)))
        });
    }
    let mut beginning = BytesMut::new();
    let mut is_all = true;
    while let Some(piece) = pieces.next().await {
        beginning.extend_from_slice(&piece?);
        if is_long || beginning.len() > LARGE_BYTES {
            is_all = false;
            break;
        }
    }
    let beginning = beginning.freeze();
    if is_all {
        return Ok(small(StatusCode::OK, how.content_type, beginning));
    }
    let whole = stream::iter([Ok(beginning)]).chain(pieces).boxed();
    if !how.gzip {
        return Ok(varied(small(
            StatusCode::OK,
            how.content_type,
            Body::from_stream(whole),
        )));
    }
    let body = Body::from_stream(gzipped(api, whole));
    let mut response = varied(small(StatusCode::OK, how.content_type, body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Ok(response)
}

fn varied(mut response: Response) -> Response {
    let vary = HeaderValue::from_static("Accept-Encoding");
    response.headers_mut().append(header::VARY, vary);
    response
}

/// The pieces as one gzip stream.
fn gzipped(api: &Api, pieces: Pieces) -> Pieces {
    let encoder = GzEncoder::new(BytesMut::new().writer(), Compression::fast());
    api.dressed(pieces, Some(encoder), |encoder, piece| {
        let Some(piece) = piece else {
            let ended = encoder.take().ok_or(Cut::Failed)?.finish();
            return Ok(ended.map_err(|_| Cut::Failed)?.into_inner().freeze());
        };
        let encoder = encoder.as_mut().ok_or(Cut::Failed)?;
        encoder.write_all(&piece).map_err(|_| Cut::Failed)?;
        Ok(encoder.get_mut().get_mut().split().freeze())
    })
}

/// Indents JSON that comes in pieces, by two spaces, as Go does.
#[derive(Clone, Copy, Debug, Default)]
struct Indent {
    depth: usize,
    in_text: bool,
    escaped: bool,
    // An object or list has begun, and nothing of it has come yet.
    begun: bool,
}

impl Indent {
    fn taken(&mut self, piece: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(piece.len() * 2);
        for byte in piece {
            self.take(*byte, &mut out);
        }
        out.freeze()
    }

    fn take(&mut self, byte: u8, out: &mut BytesMut) {
        if self.in_text {
            out.put_u8(byte);
            self.in_text = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return;
        }
        match byte {
            b'\n' | b' ' => return,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if !self.begun {
                    self.line(out);
                }
                self.begun = false;
                out.put_u8(byte);
                return;
            }
            _ => {}
        }
        if self.begun {
            self.begun = false;
            self.line(out);
        }
        out.put_u8(byte);
        match byte {
            b'"' => self.in_text = true,
            b'{' | b'[' => {
                self.depth += 1;
                self.begun = true;
            }
            b',' => self.line(out),
            b':' => out.put_u8(b' '),
            _ => {}
        }
    }

    fn line(self, out: &mut BytesMut) {
        out.put_u8(b'\n');
        for _ in 0..self.depth {
            out.extend_from_slice(b"  ");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http_body_util::BodyExt as _;

    use super::super::super::tests::window::window;
    use super::super::super::{TURN_WITHIN, TURNS};
    use super::*;

    /// Turns that nobody else takes.
    fn api() -> Api {
        let things: [(_, super::super::super::tests::window::Says); 0] = [];
        window(&things)
    }

    fn of(texts: Vec<Bytes>) -> Pieces {
        stream::iter(texts).map(Ok).boxed()
    }

    const PLAIN: How = How {
        content_type: "application/json",
        pretty: false,
        gzip: false,
    };

    #[test]
    fn json_is_indented_as_go_does_wherever_it_is_cut() {
        let text = r#"{"a":{},"b":[],"c":[1,{"d":"x \" , {"}],"e":"\\"}"#;
        let expected = "{\n  \"a\": {},\n  \"b\": [],\n  \"c\": [\n    1,\n    {\n      \
                        \"d\": \"x \\\" , {\"\n    }\n  ],\n  \"e\": \"\\\\\"\n}";
        for cut in 0..text.len() {
            let (first, rest) = text.as_bytes().split_at(cut);
            let mut indent = Indent::default();
            let both = [indent.taken(first), indent.taken(rest)].concat();
            assert_eq!(String::from_utf8(both).unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_small_body_is_neither_cut_nor_compressed() {
        let how = How {
            gzip: true,
            ..PLAIN
        };
        let texts = vec![Bytes::from_static(b"[1,"), Bytes::from_static(b"2]")];
        let response = pieces(&api(), of(texts), how, false).await.unwrap();
        assert_eq!(response.headers().get(header::CONTENT_ENCODING), None);
        let size = axum::body::HttpBody::size_hint(response.body());
        assert_eq!(size.exact(), Some(5));
    }

    #[tokio::test]
    async fn a_large_body_is_compressed_for_who_asks_and_whole_either_way() {
        let texts: Vec<Bytes> = (0..40)
            .map(|n| Bytes::from(format!("{n:05}").repeat(2_000)))
            .collect();
        let expected = texts.concat();
        let response = pieces(&api(), of(texts.clone()), PLAIN, false)
            .await
            .unwrap();
        assert_eq!(response.headers().get(header::CONTENT_ENCODING), None);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, expected);
        let how = How {
            gzip: true,
            ..PLAIN
        };
        let response = pieces(&api(), of(texts), how, true).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(response.headers()[header::VARY], "Accept-Encoding");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.len() < expected.len() / 4);
        let mut plain = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(&*body);
        decoder.read_to_end(&mut plain).unwrap();
        assert_eq!(plain, expected);
    }

    /// Scenario: as many turns as there are, are taken by others.
    /// Guarantees: nothing is indented and nothing compressed beside them; what needs neither is sent.
    #[tokio::test(start_paused = true)]
    async fn indenting_and_compressing_take_turns() {
        let api = api();
        let turns = u32::try_from(TURNS).unwrap();
        let held = std::sync::Arc::clone(&api.turns).try_acquire_many_owned(turns);
        let texts = || of(vec![Bytes::from(format!("[{}]", "1,".repeat(LARGE_BYTES)))]);
        let whole = async |how| {
            let response = pieces(&api, texts(), how, true).await.map_err(|_| ())?;
            response.into_body().collect().await.map_err(|_| ())
        };
        let (gzip, pretty) = (
            How {
                gzip: true,
                ..PLAIN
            },
            How {
                pretty: true,
                ..PLAIN
            },
        );
        let began = tokio::time::Instant::now();
        assert!(whole(PLAIN).await.is_ok());
        assert_eq!(began.elapsed(), std::time::Duration::ZERO);
        for how in [gzip, pretty] {
            let began = tokio::time::Instant::now();
            assert!(whole(how).await.is_err());
            assert_eq!(began.elapsed(), TURN_WITHIN);
        }
        drop(held);
        for how in [gzip, pretty] {
            assert!(whole(how).await.is_ok());
        }
    }

    #[tokio::test]
    async fn of_what_is_long_the_first_piece_does_not_wait_for_the_next() {
        let first = stream::iter([Ok(Bytes::from_static(b"["))]);
        let never: Pieces = first.chain(stream::pending()).boxed();
        let mut body = pieces(&api(), never, PLAIN, true)
            .await
            .unwrap()
            .into_body();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(&*frame.into_data().unwrap(), b"[");
    }

    #[tokio::test]
    async fn a_beginning_that_fails_is_no_answer_and_an_end_that_fails_breaks_it_off() {
        let fails: Pieces = stream::iter([Err(Cut::Busy)]).boxed();
        assert_eq!(
            pieces(&api(), fails, PLAIN, false).await.err(),
            Some(Cut::Busy)
        );
        let large = Bytes::from(vec![b'x'; LARGE_BYTES + 1]);
        let fails: Pieces = stream::iter([Ok(large), Err(Cut::Going)]).boxed();
        let response = pieces(&api(), fails, PLAIN, false).await.unwrap();
        assert!(response.into_body().collect().await.is_err());
    }

    #[test]
    fn people_read_what_is_indented() {
        let mut headers = HeaderMap::new();
        assert!(!is_pretty(&headers, None));
        assert!(is_pretty(&headers, Some("pretty=true")));
        headers.insert(header::USER_AGENT, HeaderValue::from_static("curl/8.5.0"));
        assert!(is_pretty(&headers, None));
        assert!(!is_pretty(&headers, Some("pretty=false")));
    }
}
