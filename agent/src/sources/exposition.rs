//! The lines of Prometheus' text exposition format, without a copy.

use std::borrow::Cow;

use crate::sources::decimal;

/// What stands behind the labels of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample<'a> {
    value: &'a [u8],
    time_ms: Option<u64>,
}

impl Sample<'_> {
    /// The value times ten to the power of `scale`, rounded down; `None` for one that is negative, no
    /// number, or does not fit.
    #[must_use]
    pub fn scaled(&self, scale: i32) -> Option<u64> {
        decimal::parse_scaled(self.value, scale)
    }

    /// When it was measured, Unix ms, when the line says so.
    #[must_use]
    pub fn time_ms(&self) -> Option<u64> {
        self.time_ms
    }
}

/// A label's value as it stands between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted<'a> {
    bytes: &'a [u8],
    escaped: bool,
}

impl<'a> Quoted<'a> {
    /// The text that is meant, a copy only where there is an escape; `None` when it is no UTF-8.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        let text = std::str::from_utf8(self.bytes).ok()?;
        Some(if self.escaped {
            Cow::Owned(unescape(text))
        } else {
            Cow::Borrowed(text)
        })
    }
}

/// Why a line that is known says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is not understood.
    Odd,
    /// It is about more than is kept.
    Dropped,
}

/// The lines of an answer, each without the white space around it, and whether something follows the
/// last end of a line: that may be half a line, and a shorter number is still a number.
pub fn lines(body: &[u8]) -> (impl Iterator<Item = &[u8]>, bool) {
    let end = memchr::memrchr(b'\n', body);
    let (whole, rest) = match end {
        Some(end) => (body.get(..end), body.get(end + 1..)),
        None => (None, Some(body)),
    };
    let lines = whole.into_iter().flat_map(split);
    let is_cut = rest.is_some_and(|rest| !rest.is_empty());
    (lines.map(<[u8]>::trim_ascii), is_cut)
}

/// What stands between the ends of lines, behind the last one too.
fn split(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr::memchr_iter(b'\n', text).chain([text.len()]);
    ends.scan(0, |begin, end| {
        let from = std::mem::replace(begin, end + 1);
        text.get(from..end)
    })
}

/// The metric's name: what stands before the labels or the value.
#[must_use]
pub fn name(bytes: &[u8]) -> &[u8] {
    let end = memchr::memchr3(b'{', b' ', b'\t', bytes);
    bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default()
}

/// Parses a line, telling `label` each label in turn; `None` when it is not one, or when `label` has
/// no use for it.
pub fn parse<'a>(
    bytes: &'a [u8],
    label: impl FnMut(&'a [u8], Quoted<'a>) -> Option<()>,
) -> Option<Sample<'a>> {
    let mut rest = bytes.get(name(bytes).len()..)?.trim_ascii_start();
    if let Some(labels) = rest.strip_prefix(b"{") {
        rest = parse_labels(labels, label)?;
    }
    let mut parts = rest
        .split(|b| matches!(b, b' ' | b'\t'))
        .filter(|part| !part.is_empty());
    let value = parts.next()?;
    let time_ms = match parts.next() {
        None => None,
        Some(time) if time.iter().all(u8::is_ascii_digit) => Some(decimal::parse_scaled(time, 0)?),
        Some(_) => return None,
    };
    let sample = Sample { value, time_ms };
    parts.next().is_none().then_some(sample)
}

/// Parses labels up to and with the closing brace; returns what follows.
fn parse_labels<'a>(
    mut rest: &'a [u8],
    mut tell: impl FnMut(&'a [u8], Quoted<'a>) -> Option<()>,
) -> Option<&'a [u8]> {
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
        tell(label, value)?;
        rest = behind.trim_ascii_start();
        match rest.strip_prefix(b",") {
            Some(behind) => rest = behind,
            None if rest.starts_with(b"}") => {}
            None => return None,
        }
    }
}

/// Reads a label value up to and with its closing quote; returns it and what follows.
fn parse_quoted(bytes: &[u8]) -> Option<(Quoted<'_>, &[u8])> {
    let mut escaped = false;
    let mut end = 0;
    loop {
        end += memchr::memchr2(b'"', b'\\', bytes.get(end..)?)?;
        if bytes.get(end) == Some(&b'"') {
            break;
        }
        // The byte behind a backslash ends nothing.
        escaped = true;
        end += 2;
    }
    let value = Quoted {
        bytes: bytes.get(..end)?,
        escaped,
    };
    Some((value, bytes.get(end + 1..)?))
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
