//! JSON, read where it stands.
//!
//! A kubelet's summary is half a megabyte of small objects, most of it names and blanks. [`Lexer`]
//! passes over it once and gives out what the caller asks for next: a key, a number, a text that
//! borrows from the body. It holds nothing and allocates nothing but for texts with escapes.
//!
//! What breaks the syntax ends the reading; a value that no number or text can hold is for its reader
//! to refuse.

mod text;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

/// Objects and lists in each other that are read: more would be a body made to fill the stack.
const MAX_DEPTH: u32 = 128;

const SPACES: u64 = u64::from_le_bytes([b' '; 8]);
const MANY_SPACES: u128 = u128::from_le_bytes([b' '; 16]);

/// Where a body stops being JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no JSON from byte {at} on: {problem}")]
pub struct Error {
    /// Bytes before it.
    pub at: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

/// How a value begins; all of it when it is no object and no list.
#[derive(Clone, Debug, PartialEq)]
pub enum Token<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number that is not negative.
    Whole(u64),
    /// Any other number; infinite when it is too large.
    Float(f64),
    /// A text; `None` when it is none in Unicode.
    Text(Option<Cow<'a, str>>),
    /// An object begins: [`Lexer::key`] until it ends.
    Object(Inside),
    /// A list begins: [`Lexer::item`] until it ends.
    List(Inside),
}

/// Within an object or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    first: bool,
}

/// Reads one body, front to back.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Lexer<'a> {
    /// At the beginning of a body.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            depth: 0,
        }
    }

    /// Reads how a value begins.
    ///
    /// # Errors
    ///
    /// It is no JSON, or too deep.
    pub fn token(&mut self) -> Result<Token<'a>, Error> {
        let Some(byte) = self.blank() else {
            return Err(self.broken("a value is missing"));
        };
        match byte {
            b'"' => {
                let (raw, escaped) = self.quoted()?;
                let text = text::read(raw, escaped).map_err(|problem| self.broken(problem))?;
                Ok(Token::Text(text))
            }
            b'{' => self.enter().map(Token::Object),
            b'[' => self.enter().map(Token::List),
            b'0'..=b'9' | b'-' => self.number(),
            b'n' => self.word("null", Token::Null),
            b't' => self.word("true", Token::Bool(true)),
            b'f' => self.word("false", Token::Bool(false)),
            _ => Err(self.broken("not the beginning of a value")),
        }
    }

    /// The key of an object's next value; `None` at its end.
    ///
    /// # Errors
    ///
    /// It is no JSON.
    pub fn key(&mut self, inside: &mut Inside) -> Result<Option<Cow<'a, str>>, Error> {
        if self.more_keys(inside)? {
            self.name().map(Some)
        } else {
            Ok(None)
        }
    }

    /// True when an object has another key, which [`Lexer::passes`] or [`Lexer::name`] reads; false at
    /// its end.
    ///
    /// # Errors
    ///
    /// It is no JSON.
    #[inline]
    pub fn more_keys(&mut self, inside: &mut Inside) -> Result<bool, Error> {
        if !inside.first && self.line() {
            return Ok(true);
        }
        if !self.more(inside, b'}')? {
            return Ok(false);
        }
        match self.blank() {
            Some(b'"') => Ok(true),
            _ => Err(self.broken("a key is missing")),
        }
    }

    /// Passes over a key, written with its quotes and its colon, when it is this one.
    #[inline]
    pub fn passes(&mut self, key: &'static str) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let passes = rest.starts_with(key.as_bytes());
        if passes {
            self.at += key.len();
        }
        passes
    }

    /// Passes over the rest of an object, its end included, when it is written like this one.
    #[inline]
    pub fn passes_rest(&mut self, rest: &[u8]) -> bool {
        let left = self.bytes.get(self.at..).unwrap_or_default();
        let passes = left.starts_with(rest);
        if passes {
            self.at += rest.len();
            self.depth = self.depth.saturating_sub(1);
        }
        passes
    }

    /// The next bytes, if there are as many.
    #[inline]
    #[must_use]
    pub fn ahead<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.bytes.get(self.at..)?.first_chunk()
    }

    /// Passes over so many bytes, which are whole values or blanks.
    #[inline]
    pub fn pass(&mut self, count: usize) {
        self.at += count;
    }

    /// What stands between here and a later place in the same body.
    #[must_use]
    pub fn until(&self, later: &Self) -> &'a [u8] {
        self.bytes.get(self.at..later.at).unwrap_or_default()
    }

    /// Reads a key and its colon. One that is none in Unicode is none that anybody asks for.
    ///
    /// # Errors
    ///
    /// It is no JSON.
    pub fn name(&mut self) -> Result<Cow<'a, str>, Error> {
        let (raw, escaped) = self.quoted()?;
        let key = text::read(raw, escaped).map_err(|problem| self.broken(problem))?;
        if self.blank() != Some(b':') {
            return Err(self.broken("a colon is missing"));
        }
        self.at += 1;
        Ok(key.unwrap_or(Cow::Borrowed("\u{fffd}")))
    }

    /// True when a list has another item; false at its end.
    ///
    /// # Errors
    ///
    /// It is no JSON.
    pub fn item(&mut self, inside: &mut Inside) -> Result<bool, Error> {
        self.more(inside, b']')
    }

    /// Passes over one value, whatever it is.
    ///
    /// # Errors
    ///
    /// It is no JSON, or too deep.
    pub fn skip(&mut self) -> Result<(), Error> {
        match self.token()? {
            Token::Object(inside) => self.skip_object(inside),
            Token::List(inside) => self.skip_list(inside).map(drop),
            _ => Ok(()),
        }
    }

    /// Passes over the rest of an object.
    ///
    /// # Errors
    ///
    /// It is no JSON, or too deep.
    pub fn skip_object(&mut self, mut inside: Inside) -> Result<(), Error> {
        while self.key(&mut inside)?.is_some() {
            self.skip()?;
        }
        Ok(())
    }

    /// Passes over the rest of a list; how many items that was.
    ///
    /// # Errors
    ///
    /// It is no JSON, or too deep.
    pub fn skip_list(&mut self, mut inside: Inside) -> Result<u64, Error> {
        let mut count = 0;
        while self.item(&mut inside)? {
            self.skip()?;
            count += 1;
        }
        Ok(count)
    }

    /// The next value when it is a whole number; otherwise it stays where it is.
    #[inline]
    pub fn whole(&mut self) -> Option<u64> {
        // Half of all numbers.
        let rest = self.bytes.get(self.at..)?;
        if let Some([b' ', b'0', b',' | b'\n']) = rest.first_chunk() {
            self.at += 2;
            return Some(0);
        }
        self.blank()?;
        let rest = self.bytes.get(self.at..)?;
        let mut number: u64 = 0;
        let mut len = 0;
        for byte in rest {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            len += 1;
        }
        let zeros = len > 1 && rest.first() == Some(&b'0');
        // Nineteen digits are always below 2^64.
        if len == 0 || len > 19 || zeros || matches!(rest.get(len), Some(b'.' | b'e' | b'E')) {
            return None;
        }
        self.at += len;
        Some(number)
    }

    /// Nothing but blanks may be left.
    ///
    /// # Errors
    ///
    /// Something is.
    pub fn end(mut self) -> Result<(), Error> {
        match self.blank() {
            None => Ok(()),
            Some(_) => Err(self.broken("something follows")),
        }
    }

    /// What is wrong, and where.
    #[must_use]
    pub fn broken(&self, problem: &'static str) -> Error {
        Error {
            at: self.at,
            problem,
        }
    }

    fn enter(&mut self) -> Result<Inside, Error> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.broken("objects and lists too deep in each other"));
        }
        Ok(Inside { first: true })
    }

    /// True before the next value of an object or list; false past its end.
    #[inline]
    fn more(&mut self, inside: &mut Inside, end: u8) -> Result<bool, Error> {
        let first = std::mem::replace(&mut inside.first, false);
        match self.blank() {
            Some(byte) if byte == end => {
                self.at += 1;
                self.depth = self.depth.saturating_sub(1);
                Ok(false)
            }
            Some(_) if first => Ok(true),
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(self.broken("a comma or an end is missing")),
        }
    }

    /// Passes over a comma, the end of its line and the next one's spaces when a quote follows, as a
    /// kubelet writes nearly all keys.
    #[inline]
    fn line(&mut self) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(([b',', b'\n'], rest)) = rest.split_first_chunk() else {
            return false;
        };
        let Some(chunk) = rest.first_chunk() else {
            return false;
        };
        let spaces = (u128::from_le_bytes(*chunk) ^ MANY_SPACES).trailing_zeros() as usize / 8;
        let is_key = rest.get(spaces) == Some(&b'"');
        if is_key {
            self.at += 2 + spaces;
        }
        is_key
    }

    /// Passes over blanks; the byte that follows, which is not passed.
    #[inline]
    fn blank(&mut self) -> Option<u8> {
        loop {
            match *self.bytes.get(self.at)? {
                // What a kubelet indents with.
                b'\n' => {
                    self.at += 1;
                    while let Some(word) = self.word_at() {
                        let spaces = (word ^ SPACES).trailing_zeros() / 8;
                        self.at += spaces as usize;
                        if spaces < 8 {
                            break;
                        }
                    }
                }
                b' ' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    /// The next eight bytes, the first one lowest.
    #[inline]
    fn word_at(&self) -> Option<u64> {
        let rest = self.bytes.get(self.at..)?;
        rest.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
    }

    /// Passes over a text; what is between its quotes, and whether it has escapes.
    #[inline]
    fn quoted(&mut self) -> Result<(&'a [u8], bool), Error> {
        self.at += 1;
        let from = self.at;
        let mut escaped = false;
        loop {
            while let Some(word) = self.word_at() {
                let stop = text::stops(word);
                self.at += (stop.trailing_zeros() / 8) as usize;
                if stop != 0 {
                    break;
                }
            }
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                // The byte after it is never the text's end.
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(0..0x20) => return Err(self.broken("a control character in a text")),
                Some(_) => self.at += 1,
                None => return Err(self.broken("a text has no end")),
            }
        }
        let raw = self.bytes.get(from..self.at).unwrap_or_default();
        self.at += 1;
        Ok((raw, escaped))
    }

    fn number(&mut self) -> Result<Token<'a>, Error> {
        if let Some(number) = self.whole() {
            return Ok(Token::Whole(number));
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let of_number = |b: &u8| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let len = rest.iter().take_while(|byte| of_number(byte)).count();
        let raw = rest.get(..len).unwrap_or_default();
        let number = text::is_number(raw)
            .then(|| str::from_utf8(raw).ok())
            .flatten()
            .and_then(|text| match text.parse::<u64>() {
                Ok(number) => Some(Token::Whole(number)),
                Err(_) => text.parse().ok().map(Token::Float),
            });
        let number = number.ok_or_else(|| self.broken("no number"))?;
        self.at += len;
        Ok(number)
    }

    fn word(&mut self, word: &str, token: Token<'a>) -> Result<Token<'a>, Error> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(self.broken("not the beginning of a value"));
        }
        self.at += word.len();
        Ok(token)
    }
}
