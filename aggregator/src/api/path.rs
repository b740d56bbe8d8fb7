//! Paths as the first servers of these routes read them.

/// Decoded segments of a path, empty ones at the end left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segments(Vec<String>);

impl Segments {
    /// Splits on `/` and decodes each segment.
    ///
    /// # Errors
    ///
    /// A path with `//` in it is answered by a redirect to this one, without.
    pub(super) fn parse(path: &str) -> Result<Self, String> {
        // Browsers read a backslash as a slash, so that `/\\x//` would lead to another host.
        if path.contains("//") && !path.contains('\\') {
            let mut cleaned = String::with_capacity(path.len());
            for c in path.chars().filter({
                let mut slash = false;
                move |c| {
                    let twice = slash && *c == '/';
                    slash = *c == '/';
                    !twice
                }
            }) {
                cleaned.push(c);
            }
            return Err(cleaned);
        }
        Ok(Self(
            path.split('/')
                .filter(|s| !s.is_empty())
                .map(decode)
                .collect(),
        ))
    }

    pub(super) fn as_strs(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
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
    fn trailing_slashes_do_not_matter_and_double_ones_redirect() {
        let segments = Segments::parse("/api/v1/model/nodes/").unwrap();
        assert_eq!(segments.as_strs(), ["api", "v1", "model", "nodes"]);
        assert_eq!(Segments::parse("/a//b///c"), Err("/a/b/c".to_owned()));
    }

    #[test]
    fn a_slash_may_be_spelt_either_way() {
        assert_eq!(
            Segments::parse("/a/cpu%2Fusage_rate").unwrap().as_strs(),
            ["a", "cpu/usage_rate"]
        );
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
