//! Objects that are written as one before them was, byte by byte: they say the same, and are not read again.
//!
//! Two thirds of the lines of a summary are of pressure, and nearly all of those are zeros.

use super::Input;
use super::field::{Field, Wanted};
use super::shape::{RawPsi, RawShare};
use crate::sources::json::{Error, Inside, Lexer};

/// Texts that are kept: objects of the node, of pods and of containers differ by their indentation.
const KEPT: usize = 3;

/// Rests of objects and what they say, the one that was met last in front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Again<'a, T> {
    kept: [Option<(&'a [u8], T)>; KEPT],
}

impl<T> Default for Again<'_, T> {
    fn default() -> Self {
        Self {
            kept: [const { None }; KEPT],
        }
    }
}

impl<'a, T: Copy> Again<'a, T> {
    /// Passes over the rest of an object and says what it does, when it is a known one.
    #[inline]
    fn pass(&mut self, lexer: &mut Lexer<'a>) -> Option<T> {
        for at in 0..KEPT {
            let (rest, says) = (*self.kept.get(at)?)?;
            if lexer.passes_rest(rest) {
                self.kept.get_mut(..=at)?.rotate_right(1);
                return Some(says);
            }
        }
        None
    }

    /// Keeps what stands between two places, which is the rest of an object with its end, in the place of the
    /// one that was not met for longest.
    fn keep(&mut self, from: &Lexer<'a>, to: &Lexer<'a>, says: T) {
        self.kept.rotate_right(1);
        if let Some(first) = self.kept.first_mut() {
            *first = Some((from.until(to), says));
        }
    }
}

/// Pressure.
#[derive(Clone, Copy, Default)]
pub(super) struct Psi(pub(super) RawPsi);

impl<'a> Wanted<'a> for Psi {
    fn object(input: &mut Input<'a>, inside: Inside) -> Result<Option<Self>, Error> {
        if let Some(says) = input.psi.pass(&mut input.lexer) {
            return Ok(Some(Self(says)));
        }
        let from = input.lexer.clone();
        let read = RawPsi::object(input, inside)?;
        if let Some(says) = read {
            input.psi.keep(&from, &input.lexer, says);
        }
        Ok(read.map(Self))
    }
}

/// One of the two sides of pressure. What follows the total, which may be any number, is mostly known.
#[derive(Clone, Copy, Default)]
pub(super) struct Share(pub(super) RawShare);

impl<'a> Wanted<'a> for Share {
    fn object(input: &mut Input<'a>, inside: Inside) -> Result<Option<Self>, Error> {
        let mut past_total = input.lexer.clone();
        let Some(total) = total(&mut past_total, inside.clone()) else {
            return Ok(RawShare::object(input, inside)?.map(Self));
        };
        let mut ahead = past_total.clone();
        if let Some(says) = input.share.pass(&mut ahead) {
            input.lexer = ahead;
            let total = Field::Known(total);
            return Ok(Some(Self(RawShare { total, ..says })));
        }
        let read = RawShare::object(input, inside)?;
        // Said twice, it is another's rest that would say so.
        if let Some(says) = read.filter(|says| says.total == Field::Known(total)) {
            input.share.keep(&past_total, &input.lexer, says);
        }
        Ok(read.map(Self))
    }
}

/// The total, when an object begins with it and it is a whole number.
fn total(lexer: &mut Lexer<'_>, mut inside: Inside) -> Option<u64> {
    let has_keys = lexer.more_keys(&mut inside).ok()?;
    (has_keys && lexer.passes("\"total\":"))
        .then(|| lexer.whole())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What each of these says, read one after the other in one body.
    fn read(objects: &[String]) -> Vec<String> {
        let body = format!("[{}]", objects.join(","));
        let mut input = Input::new(body.as_bytes(), None);
        let Ok(crate::sources::json::Token::List(mut inside)) = input.lexer.token() else {
            panic!("{body}");
        };
        let mut said = Vec::new();
        while input.lexer.item(&mut inside).unwrap() {
            said.push(match Psi::read(&mut input) {
                Ok(Field::Known(Psi(psi))) => {
                    let sides = [psi.full, psi.some].map(|side| match side {
                        Field::Known(Share(s)) => {
                            format!("{:?}", (s.total, s.avg10, s.avg60, s.avg300))
                        }
                        Field::Absent => "absent".to_owned(),
                        Field::Odd => "odd".to_owned(),
                    });
                    sides.join(" ")
                }
                Ok(_) => "odd".to_owned(),
                Err(error) => error.problem.to_owned(),
            });
        }
        input.lexer.end().unwrap();
        said
    }

    prop_compose! {
        fn side()(
            total in prop::option::of("0|7|12|7\\.5|\"x\""),
            rest in "|,\n  \"avg10\": 0(,\n  \"avg60\": (0|1))?|, \"avg10\": 0\\.25|, \"total\": 3|, \"more\": \\[1\\]",
            blank in "|\n| ",
        ) -> String {
            match total {
                Some(total) => format!("{{\n  \"total\": {total}{rest}{blank}}}"),
                None => format!("{{{blank}}}"),
            }
        }
    }

    proptest! {
        #[test]
        fn an_object_says_the_same_whatever_came_before(
            sides in prop::collection::vec((side(), side()), 1..12)
        ) {
            let objects: Vec<String> = sides
                .iter()
                .map(|(full, some)| format!("{{\"full\": {full}, \"some\": {some}}}"))
                .collect();
            let alone = objects.iter().flat_map(|one| read(std::slice::from_ref(one)));
            prop_assert_eq!(read(&objects), alone.collect::<Vec<_>>());
        }
    }
}
