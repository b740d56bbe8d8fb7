//! Times as a kubelet writes them.

use std::borrow::Cow;

use cairn_proto::rfc3339;

use super::Input;
use super::field::{Field, Wanted, field};
use crate::sources::json::{Error, Lexer, Token};

/// A time, Unix ms. Nothing that runs was measured before 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) u64);

impl<'a> Wanted<'a> for Time {
    fn text(value: Cow<'a, str>) -> Option<Self> {
        let ms = rfc3339::parse(&value)?;
        u64::try_from(ms).ok().map(Self)
    }

    fn read(input: &mut Input<'a>) -> Result<Field<Self>, Error> {
        if let Some(time) = input.minute.ahead(&mut input.lexer) {
            return Ok(Field::Known(time));
        }
        match input.lexer.token()? {
            Token::Null => Ok(Field::Absent),
            Token::Text(Some(Cow::Borrowed(text))) => Ok(field(input.minute.time(text))),
            Token::Text(text) => Ok(field(text.and_then(Self::text))),
            Token::Object(inside) => input.lexer.skip_object(inside).map(|()| Field::Odd),
            Token::List(inside) => input.lexer.skip_list(inside).map(|_| Field::Odd),
            Token::Bool(_) | Token::Whole(_) | Token::Float(_) => Ok(Field::Odd),
        }
    }
}

/// The last minute in which something was measured: mostly it is the next one's too.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Minute<'a> {
    // All before the seconds.
    text: &'a [u8],
    ms: u64,
}

impl<'a> Minute<'a> {
    /// Reads a time of this minute, if that is what stands next, as a kubelet writes it.
    #[inline]
    fn ahead(&self, lexer: &mut Lexer<'a>) -> Option<Time> {
        let (head, rest) = lexer.ahead::<23>()?.split_first_chunk::<2>()?;
        let (minute, end) = rest.split_last_chunk::<4>()?;
        let [tens @ b'0'..=b'5', ones @ b'0'..=b'9', b'Z', b'"'] = end else {
            return None;
        };
        if head != b" \"" || minute != self.text {
            return None;
        }
        lexer.pass(23);
        Some(self.second(*tens, *ones))
    }

    /// A second of this minute, by its two digits.
    #[inline]
    fn second(&self, tens: u8, ones: u8) -> Time {
        let seconds = u64::from(tens - b'0') * 10 + u64::from(ones - b'0');
        Time(self.ms + seconds * 1_000)
    }

    /// Reads a time.
    fn time(&mut self, text: &'a str) -> Option<Time> {
        // 2026-11-22T07:26:47Z
        let whole = text.as_bytes().split_last_chunk::<3>();
        let Some((minute, [tens @ b'0'..=b'5', ones @ b'0'..=b'9', b'Z'])) = whole else {
            return Time::text(Cow::Borrowed(text));
        };
        if minute == self.text && !minute.is_empty() {
            return Some(self.second(*tens, *ones));
        }
        let time = Time::text(Cow::Borrowed(text))?;
        // Such a text has no fraction of a second: its last two digits would be taken for one.
        if minute.len() == "2026-11-22T07:26:".len() {
            *self = Self {
                text: minute,
                ms: time.0 - time.0 % 60_000,
            };
        }
        Some(time)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(texts: &[String]) {
        let mut minute = Minute::default();
        for text in texts {
            assert_eq!(minute.time(text), Time::text(text.into()), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none_in_a_known_minute_either() {
        let seconds = [
            "47Z", "60Z", "99Z", "5Z", "+1Z", "59z", "47", "4\u{e9}Z", "00Z",
        ];
        check(&seconds.map(|seconds| format!("2026-11-22T07:26:{seconds}")));
        check(
            &[
                "2026-11-22T07:26:00.12Z",
                "2026-11-22T07:26:00.47Z",
                "47Z",
                "00Z",
            ]
            .map(String::from),
        );
    }

    proptest! {
        #[test]
        fn a_time_is_the_same_whatever_came_before(
            texts in prop::collection::vec("(1969-12-31T23:59|2026-11-2[0-9]T07:2[67]):[0-6][0-9](\\.[0-9]{1,3})?Z", 1..20)
        ) {
            check(&texts);
        }
    }
}
