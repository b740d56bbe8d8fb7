//! Paths as the first servers of these routes read them.

/// Decoded segments of a path, empty ones at the end left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segments(Vec<String>);

impl Segments {
    /// Splits on `/` and decodes each segment.
    ///
    /// # Errors
    ///
    /// A path with empty segments or dots for segments is answered by a redirect to this one,
    /// without.
    pub(super) fn parse(path: &str) -> Result<Self, String> {
        let raw: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        let segments: Vec<String> = raw.iter().map(|segment| decode(segment)).collect();
        let (last, inner) = segments
            .split_last()
            .map_or(("", [].as_slice()), |(l, i)| (l, i));
        let is_clean = !is_dots(last) && !inner.iter().any(|s| s.is_empty() || is_dots(s));
        // Browsers read a backslash as a slash: a redirect could lead them to another host.
        if is_clean || path.contains('\\') {
            let named = segments.into_iter().filter(|s| !s.is_empty());
            return Ok(Self(named.collect()));
        }
        Err(cleaned(&raw, &segments))
    }

    /// The segments as they were sent.
    pub(super) fn as_strs(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }

    /// The ways to read the path, in the order in which they count. The first server of the model
    /// took every slash for a separator, spelt `%2F` or not, and so does the second way; it had no
    /// way to address what has a slash in its name. In the first way the segment after
    /// [`MAY_HAVE_SLASHES`] is one name as it was sent.
    pub(super) fn readings(&self) -> [Vec<&str>; 2] {
        let mut kept: Vec<&str> = Vec::new();
        for segment in &self.0 {
            if kept.last() == Some(&MAY_HAVE_SLASHES) {
                kept.push(segment);
            } else {
                kept.extend(parts(segment));
            }
        }
        let split = self.0.iter().flat_map(|segment| parts(segment));
        [kept, split.collect()]
    }
}

/// System containers are the only things whose names may have slashes.
const MAY_HAVE_SLASHES: &str = "freecontainers";

fn parts(segment: &str) -> impl Iterator<Item = &str> {
    segment.split('/').filter(|part| !part.is_empty())
}

fn is_dots(segment: &str) -> bool {
    segment == "." || segment == ".."
}

/// What Go's mux makes of a path: no empty segments, no dots; a slash at the end stays.
fn cleaned(raw: &[&str], decoded: &[String]) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for (segment, meant) in raw.iter().zip(decoded) {
        match meant.as_str() {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let mut path = format!("/{}", kept.join("/"));
    if decoded.last().is_some_and(String::is_empty) && !kept.is_empty() {
        path.push('/');
    }
    path
}

/// Decodes `%XX`; what is not valid stays as it is, and is then no name of anything.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digits =
            (byte == b'%').then(|| (ahead.next().and_then(hex), ahead.next().and_then(hex)));
        if let Some((Some(high), Some(low))) = digits {
            out.push(high << 4 | low);
            bytes = ahead;
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// The first value of a query parameter, decoded.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    query?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| decode(&value.replace('+', " ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_slashes_do_not_matter() {
        for path in ["/api/v1/model/nodes/", "/api/v1/model/nodes"] {
            let segments = Segments::parse(path).unwrap();
            assert_eq!(segments.as_strs(), ["api", "v1", "model", "nodes"]);
        }
        for root in ["/", ""] {
            assert_eq!(Segments::parse(root), Ok(Segments(Vec::new())));
        }
    }

    #[test]
    fn empty_segments_and_dots_redirect_as_gos_mux_does() {
        for (path, to) in [
            ("/a//b///c", "/a/b/c"),
            ("/a/b//", "/a/b/"),
            ("//", "/"),
            ("//host.example/a", "/host.example/a"),
            ("/a/./b", "/a/b"),
            ("/a/.", "/a"),
            ("/a/./", "/a/"),
            ("/a/../b/", "/b/"),
            ("/a/b/..", "/a"),
            ("/../../a", "/a"),
            ("/a/..", "/"),
            ("/a/%2e%2e/b", "/b"),
            ("/a//cpu%2Fusage_rate", "/a/cpu%2Fusage_rate"),
            ("/..//host.example", "/host.example"),
        ] {
            assert_eq!(Segments::parse(path), Err(to.to_owned()), "{path}");
        }
    }

    #[test]
    fn no_redirect_begins_with_two_slashes_of_any_kind() {
        for path in [
            "/\\host.example//",
            "//\\host.example/",
            "/.//\\host.example",
        ] {
            assert!(Segments::parse(path).is_ok(), "{path}");
        }
        // A slash that is part of a segment stays spelt, so it leads nowhere either.
        let target = Segments::parse("//%2Fhost.example").unwrap_err();
        assert_eq!(target, "/%2Fhost.example");
    }

    #[test]
    fn a_slash_may_be_spelt_either_way() {
        for (path, kept, split) in [
            (
                "/a/cpu%2Fusage_rate",
                "a cpu usage_rate",
                "a cpu usage_rate",
            ),
            ("/a%2F%2Fb%2F", "a b", "a b"),
            (
                "/n%2Ffreecontainers/a.slice%2Fb/metrics%2Fx",
                "n freecontainers a.slice/b metrics x",
                "n freecontainers a.slice b metrics x",
            ),
        ] {
            let segments = Segments::parse(path).unwrap();
            let readings = segments.readings().map(|reading| reading.join(" "));
            assert_eq!(readings, [kept, split], "{path}");
        }
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz%4"), "%zz%4");
    }

    #[test]
    fn parameters_are_decoded() {
        let query = Some("start=2026-11-22T07:30:20%2B01:00&end=");
        assert_eq!(
            parameter(query, "start").as_deref(),
            Some("2026-11-22T07:30:20+01:00")
        );
        assert_eq!(parameter(query, "end").as_deref(), Some(""));
        assert_eq!(parameter(query, "labels"), None);
    }
}
