//! Texts and numbers as JSON writes them. Pure.

use std::borrow::Cow;

const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x8080_8080_8080_8080;

/// Of eight bytes, the first one lowest, those that a text does not pass over: a quote, a backslash,
/// a control character. The top bit of the first such byte is set and none before it; bits
/// above it may be set too many.
#[inline]
pub(super) fn stops(word: u64) -> u64 {
    // A byte that is zero borrows from its neighbours above and sets its own top bit.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let quote = zero(word ^ (ONES * u64::from(b'"')));
    let backslash = zero(word ^ (ONES * u64::from(b'\\')));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & TOPS
}

/// What stands between the quotes of a text; `None` when it is none in Unicode.
///
/// # Errors
///
/// An escape that there is not.
pub(super) fn read(raw: &[u8], escaped: bool) -> Result<Option<Cow<'_, str>>, &'static str> {
    if !escaped {
        return Ok(str::from_utf8(raw).ok().map(Cow::Borrowed));
    }
    let mut text = Some(String::with_capacity(raw.len()));
    let mut pieces = raw.split(|byte| *byte == b'\\');
    let first = pieces.next().unwrap_or_default();
    add(&mut text, str::from_utf8(first).ok());
    let mut rest = raw.get(first.len()..).unwrap_or_default();
    while let Some(escape) = rest.strip_prefix(b"\\") {
        let (meant, after) = unescape(escape)?;
        add(
            &mut text,
            meant.map(|c| c.encode_utf8(&mut [0; 4]).to_owned()),
        );
        let plain = after.split(|byte| *byte == b'\\').next();
        let plain = plain.unwrap_or_default();
        add(&mut text, str::from_utf8(plain).ok());
        rest = after.get(plain.len()..).unwrap_or_default();
    }
    Ok(text.map(Cow::Owned))
}

/// Adds to a text; one that got a piece that is none is none.
fn add(text: &mut Option<String>, piece: Option<impl AsRef<str>>) {
    match (text.as_mut(), piece) {
        (Some(text), Some(piece)) => text.push_str(piece.as_ref()),
        _ => *text = None,
    }
}

/// What an escape means, without its backslash, and what follows it; `None` for half of a character.
fn unescape(escape: &[u8]) -> Result<(Option<char>, &[u8]), &'static str> {
    let (kind, after) = escape.split_first().ok_or("half an escape")?;
    let plain = match kind {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(after),
        _ => return Err("no such escape"),
    };
    Ok((Some(plain), after))
}

/// A character that is written as one or two numbers of four digits.
fn unicode(digits: &[u8]) -> Result<(Option<char>, &[u8]), &'static str> {
    let (unit, after) = four(digits)?;
    if !(0xd800..0xdc00).contains(&unit) {
        return Ok((char::from_u32(unit), after));
    }
    let Some(next) = after.strip_prefix(b"\\u") else {
        return Ok((None, after));
    };
    let (low, after_both) = four(next)?;
    if !(0xdc00..0xe000).contains(&low) {
        return Ok((None, after));
    }
    let point = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    Ok((char::from_u32(point), after_both))
}

fn four(digits: &[u8]) -> Result<(u32, &[u8]), &'static str> {
    let problem = "an escape without its four digits";
    let (four, after) = digits.split_at_checked(4).ok_or(problem)?;
    let mut unit = 0;
    for digit in four {
        unit = unit * 16 + char::from(*digit).to_digit(16).ok_or(problem)?;
    }
    Ok((unit, after))
}

/// True of a number as JSON writes it.
pub(super) fn is_number(raw: &[u8]) -> bool {
    let digits = |raw: &[u8]| raw.iter().take_while(|b| b.is_ascii_digit()).count();
    let rest = raw.strip_prefix(b"-").unwrap_or(raw);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.starts_with(b"0")) {
        return false;
    }
    let mut rest = rest.get(whole..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix(b".") {
        let len = digits(fraction);
        if len == 0 {
            return false;
        }
        rest = fraction.get(len..).unwrap_or_default();
    }
    match rest.split_first() {
        None => true,
        Some((b'e' | b'E', exponent)) => {
            let signed = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+"));
            let exponent = signed.unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent) == exponent.len()
        }
        Some(_) => false,
    }
}
