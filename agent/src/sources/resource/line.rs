//! One line of the text exposition format.

use std::borrow::Cow;

use crate::sources::decimal;

/// The parts of a line that are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) namespace: Option<Cow<'a, str>>,
    pub(super) pod: Option<Cow<'a, str>>,
    pub(super) container: Option<Cow<'a, str>>,
    value: &'a [u8],
    time_ms: Option<u64>,
}

impl Line<'_> {
    /// The value times ten to the power of `scale`, rounded down.
    pub(super) fn scaled(&self, scale: i32) -> Option<u64> {
        decimal::parse_scaled(self.value, scale)
    }

    /// When it was measured, Unix ms, when the line says so.
    pub(super) fn time_ms(&self) -> Option<u64> {
        self.time_ms
    }
}

/// The metric's name: what stands before the labels or the value.
pub(super) fn name(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|b| matches!(b, b'{' | b' ' | b'\t'));
    bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default()
}

/// Parses a line; `None` when it is not one.
pub(super) fn parse(bytes: &[u8]) -> Option<Line<'_>> {
    let mut line = Line {
        namespace: None,
        pod: None,
        container: None,
        value: b"",
        time_ms: None,
    };
    let mut rest = bytes.get(name(bytes).len()..)?.trim_ascii_start();
    if let Some(labels) = rest.strip_prefix(b"{") {
        rest = parse_labels(labels, &mut line)?;
    }
    let mut parts = rest
        .split(|b| matches!(b, b' ' | b'\t'))
        .filter(|part| !part.is_empty());
    line.value = parts.next()?;
    if let Some(time) = parts.next() {
        if !time.iter().all(u8::is_ascii_digit) {
            return None;
        }
        line.time_ms = Some(decimal::parse_scaled(time, 0)?);
    }
    parts.next().is_none().then_some(line)
}

/// Parses labels up to and with the closing brace; returns what follows.
fn parse_labels<'a>(mut rest: &'a [u8], line: &mut Line<'a>) -> Option<&'a [u8]> {
    loop {
        rest = rest.trim_ascii_start();
        if let Some(behind) = rest.strip_prefix(b"}") {
            return Some(behind);
        }
        let equals = rest.iter().position(|b| *b == b'=')?;
        let label = rest.get(..equals)?.trim_ascii();
        let quoted = rest
            .get(equals + 1..)?
            .trim_ascii_start()
            .strip_prefix(b"\"")?;
        let (value, behind) = parse_quoted(quoted)?;
        match label {
            b"namespace" => line.namespace = Some(value),
            b"pod" => line.pod = Some(value),
            b"container" => line.container = Some(value),
            _ => {}
        }
        rest = behind.trim_ascii_start();
        match rest.strip_prefix(b",") {
            Some(behind) => rest = behind,
            None if rest.starts_with(b"}") => {}
            None => return None,
        }
    }
}

/// Reads a label value up to and with its closing quote; returns it and what follows.
fn parse_quoted(bytes: &[u8]) -> Option<(Cow<'_, str>, &[u8])> {
    let mut escaped = false;
    let mut end = 0;
    loop {
        match bytes.get(end)? {
            b'"' => break,
            b'\\' => {
                escaped = true;
                end += 2;
            }
            _ => end += 1,
        }
    }
    let (value, behind) = (bytes.get(..end)?, bytes.get(end + 1..)?);
    let value = std::str::from_utf8(value).ok()?;
    Some((
        if escaped {
            Cow::Owned(unescape(value))
        } else {
            Cow::Borrowed(value)
        },
        behind,
    ))
}

/// The format knows three escapes; a backslash before anything else stands for itself.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some(other @ ('\\' | '"')) => out.push(other),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}
