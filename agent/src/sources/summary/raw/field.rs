//! A value in JSON that may be anything.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

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
    pub(super) fn known(self) -> Option<T> {
        match self {
            Field::Known(value) => Some(value),
            Field::Absent | Field::Odd => None,
        }
    }
}

/// What can be read: of each shape of JSON the value it makes, `None` when it makes none.
pub(super) trait Wanted<'de>: Sized {
    fn number(_: u64) -> Option<Self> {
        None
    }

    fn float(_: f64) -> Option<Self> {
        None
    }

    fn text(_: Cow<'de, str>) -> Option<Self> {
        None
    }

    fn map<A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

impl Wanted<'_> for u64 {
    fn number(value: u64) -> Option<Self> {
        Some(value)
    }
}

/// A percentage in hundredths, as pressure averages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CentiPercent(pub(super) u64);

impl Wanted<'_> for CentiPercent {
    fn number(value: u64) -> Option<Self> {
        value.checked_mul(100).map(Self)
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

/// Items kept of a list that is read as a whole: far more than anything has volumes, interfaces or
/// accelerators.
const MAX_ITEMS: usize = 64;

/// A list whose items can each be anything.
#[derive(Clone, Debug)]
pub(super) struct List<T> {
    pub(super) items: Vec<Field<T>>,
    pub(super) dropped_count: u64,
}

impl<'de, T: Wanted<'de>> Wanted<'de> for List<T> {
    fn seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut list = Self {
            items: Vec::new(),
            dropped_count: 0,
        };
        while list.items.len() < MAX_ITEMS {
            let Some(item) = seq.next_element()? else {
                return Ok(Some(list));
            };
            list.items.push(item);
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            list.dropped_count += 1;
        }
        Ok(Some(list))
    }
}

impl<'de: 'a, 'a> Wanted<'de> for Cow<'a, str> {
    fn text(value: Cow<'de, str>) -> Option<Self> {
        Some(value)
    }
}

/// Makes objects readable whose own fields can all be anything.
macro_rules! objects {
    ($($name:ident $(<$life:lifetime>)?),+) => {$(
        impl<'de $(: $life, $life)?> Wanted<'de> for $name $(<$life>)? {
            fn map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
                Self::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Some)
            }
        }
    )+};
}

pub(super) use objects;

impl<'de, T: Wanted<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything(PhantomData))
    }
}

struct Anything<T>(PhantomData<T>);

fn field<T>(value: Option<T>) -> Field<T> {
    value.map_or(Field::Odd, Field::Known)
}

impl<'de, T: Wanted<'de>> Visitor<'de> for Anything<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_u64<E>(self, value: u64) -> Result<Field<T>, E> {
        Ok(field(T::number(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Field<T>, E> {
        Ok(field(u64::try_from(value).ok().and_then(T::number)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Field<T>, E> {
        Ok(field(T::float(value)))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Field<T>, E> {
        Ok(Field::Odd)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Field<T>, E> {
        Ok(field(T::text(Cow::Borrowed(value))))
    }

    fn visit_str<E>(self, value: &str) -> Result<Field<T>, E> {
        Ok(field(T::text(Cow::Owned(value.to_owned()))))
    }

    fn visit_unit<E>(self) -> Result<Field<T>, E> {
        Ok(Field::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Field<T>, A::Error> {
        T::seq(seq).map(field)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Field<T>, A::Error> {
        T::map(map).map(field)
    }
}
