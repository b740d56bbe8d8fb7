//! A value in JSON that may be anything.

use std::borrow::Cow;

use super::Input;
use crate::sources::json::{Error, Inside, Token};

/// What was wanted, or the fact that it is not there or something else is. Whatever else it is, it
/// is passed over and takes no memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Field<T> {
    #[default]
    Absent,
    Known(T),
    Odd,
}

impl<T> Field<T> {
    /// Takes a value; one that is said twice is odd, whatever is meant.
    pub(super) fn set(&mut self, said: Self) {
        *self = match self {
            Field::Absent => said,
            Field::Known(_) | Field::Odd => Field::Odd,
        };
    }

    pub(super) fn known(self) -> Option<T> {
        match self {
            Field::Known(value) => Some(value),
            Field::Absent | Field::Odd => None,
        }
    }
}

/// What can be read: of each shape of JSON the value it makes, `None` when it makes none.
pub(super) trait Wanted<'a>: Sized {
    fn number(_: u64) -> Option<Self> {
        None
    }

    fn float(_: f64) -> Option<Self> {
        None
    }

    fn text(_: Cow<'a, str>) -> Option<Self> {
        None
    }

    fn object(input: &mut Input<'a>, inside: Inside) -> Result<Option<Self>, Error> {
        input.lexer.skip_object(inside)?;
        Ok(None)
    }

    fn list(input: &mut Input<'a>, inside: Inside) -> Result<Option<Self>, Error> {
        input.lexer.skip_list(inside)?;
        Ok(None)
    }

    /// Reads the next value.
    fn read(input: &mut Input<'a>) -> Result<Field<Self>, Error> {
        any(input)
    }
}

/// Reads the next value when it is such an object; whatever else it is, it is passed over. The large
/// ones are read like this: a [`Field`] of them would be moved from place to place.
#[inline]
pub(super) fn object<'a, T: Wanted<'a>>(input: &mut Input<'a>) -> Result<Option<T>, Error> {
    match input.lexer.token()? {
        Token::Object(inside) => T::object(input, inside),
        Token::List(inside) => input.lexer.skip_list(inside).map(|_| None),
        _ => Ok(None),
    }
}

fn any<'a, T: Wanted<'a>>(input: &mut Input<'a>) -> Result<Field<T>, Error> {
    let known = match input.lexer.token()? {
        Token::Null => return Ok(Field::Absent),
        Token::Bool(_) => None,
        Token::Whole(number) => T::number(number),
        Token::Float(number) => T::float(number),
        Token::Text(text) => text.and_then(T::text),
        Token::Object(inside) => T::object(input, inside)?,
        Token::List(inside) => T::list(input, inside)?,
    };
    Ok(field(known))
}

/// Reads the next value where nearly always an object stands.
#[inline]
pub(super) fn expected<'a, T: Wanted<'a>>(input: &mut Input<'a>) -> Result<Field<T>, Error> {
    match input.lexer.object() {
        Some(inside) => T::object(input, inside).map(field),
        None => any(input),
    }
}

pub(super) fn field<T>(known: Option<T>) -> Field<T> {
    known.map_or(Field::Odd, Field::Known)
}

impl<'a> Wanted<'a> for u64 {
    fn number(value: u64) -> Option<Self> {
        Some(value)
    }

    // Most values are whole numbers.
    #[inline]
    fn read(input: &mut Input<'a>) -> Result<Field<Self>, Error> {
        match input.lexer.whole() {
            Some(number) => Ok(Field::Known(number)),
            None => any(input),
        }
    }
}

/// What a kubelet writes there and nobody takes: it is passed over, whatever it is.
pub(super) enum Passed {}

impl<'a> Wanted<'a> for Passed {
    fn read(input: &mut Input<'a>) -> Result<Field<Self>, Error> {
        input.lexer.skip()?;
        Ok(Field::Absent)
    }
}

/// A percentage in hundredths, as pressure averages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CentiPercent(pub(super) u64);

impl<'a> Wanted<'a> for CentiPercent {
    fn number(value: u64) -> Option<Self> {
        value.checked_mul(100).map(Self)
    }

    #[inline]
    fn read(input: &mut Input<'a>) -> Result<Field<Self>, Error> {
        match input.lexer.whole() {
            Some(number) => Ok(field(Self::number(number))),
            None => any(input),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked before"
    )]
    fn float(value: f64) -> Option<Self> {
        // No share is above everything; a million leaves room for what nobody thought of.
        (0.0..1e6)
            .contains(&value)
            .then(|| Self((value * 100.0).round() as u64))
    }
}

impl<'a> Wanted<'a> for Cow<'a, str> {
    fn text(value: Cow<'a, str>) -> Option<Self> {
        Some(value)
    }
}

/// Declares objects with the keys that are read of them, in the order in which a kubelet writes them: so
/// the next key is mostly the one that is looked for first. Their values can all be anything; a key
/// that is not listed is passed over.
macro_rules! objects {
    ($(
        $(#[$about:meta])*
        $name:ident $(<$life:lifetime>)? {
            $($key:literal => $field:ident: $type:ty,)+
        }
    )+) => {$(
        $(#[$about])*
        #[derive(Default)]
        pub(super) struct $name $(<$life>)? {
            $(pub(super) $field: $crate::sources::summary::raw::field::Field<$type>,)+
        }

        $crate::sources::summary::raw::field::objects!(@read $name $(<$life>)? {
            $($key => $field: $type,)+
        });
    )+};
    (@read $name:ident { $($key:literal => $field:ident: $type:ty,)+ }) => {
        impl<'a> Wanted<'a> for $name {
            $crate::sources::summary::raw::field::objects!(@object $($key => $field: $type,)+);
        }
    };
    (@read $name:ident <$life:lifetime> { $($key:literal => $field:ident: $type:ty,)+ }) => {
        impl<$life> Wanted<$life> for $name<$life> {
            $crate::sources::summary::raw::field::objects!(@object $($key => $field: $type,)+);
        }
    };
    (@object $($key:literal => $field:ident: $type:ty,)+) => {
        #[inline]
        fn read(
            input: &mut Input<'a>,
        ) -> Result<$crate::sources::summary::raw::field::Field<Self>, Error> {
            $crate::sources::summary::raw::field::expected(input)
        }

        fn object(input: &mut Input<'a>, mut inside: Inside) -> Result<Option<Self>, Error> {
            let mut this = Self::default();
            'values: while input.lexer.more_keys(&mut inside)? {
                $(if input.lexer.passes(concat!("\"", $key, "\":")) {
                    this.$field.set(<$type as Wanted<'a>>::read(input)?);
                    // The keys that follow, as long as they come in their order.
                    if !input.lexer.more_keys(&mut inside)? {
                        break 'values;
                    }
                })+
                match &*input.lexer.name()? {
                    $($key => {
                        this.$field.set(<$type as Wanted<'a>>::read(input)?);
                    })+
                    _ => input.lexer.skip()?,
                }
            }
            Ok(Some(this))
        }
    };
}

pub(super) use objects;
