//! A name in two pieces: what it has in common with others, and what it has to itself.

/// Room for the longest name there is, so that most are put together without memory of their own.
const ROOM: usize = 256;

/// A text that stands in two places, one behind the other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spelled<'a> {
    /// Its beginning, or all of it.
    pub(super) head: &'a str,
    /// The rest.
    pub(super) tail: &'a str,
}

impl<'a> Spelled<'a> {
    /// A text in one piece.
    pub(super) fn whole(text: &'a str) -> Self {
        Self {
            head: text,
            tail: "",
        }
    }

    /// Shows the whole text.
    pub(super) fn with<T>(&self, show: impl FnOnce(&str) -> T) -> T {
        if self.tail.is_empty() {
            return show(self.head);
        }
        let mut room = [0; ROOM];
        let (head, tail) = (self.head.len(), self.tail.len());
        let whole = room.get_mut(..head + tail).and_then(|whole| {
            let (first, second) = whole.split_at_mut_checked(head)?;
            first.copy_from_slice(self.head.as_bytes());
            second.copy_from_slice(self.tail.as_bytes());
            str::from_utf8(whole).ok()
        });
        match whole {
            Some(whole) => show(whole),
            None => show(&[self.head, self.tail].concat()),
        }
    }

    /// True when this is the whole text.
    pub(super) fn is(&self, text: &str) -> bool {
        let tail = text.strip_prefix(self.head);
        tail == Some(self.tail)
    }
}

#[cfg(test)]
mod tests {
    use super::{ROOM, Spelled};

    #[test]
    fn the_pieces_are_the_text() {
        let long = "a".repeat(ROOM);
        for text in ["", "cpu", "db-0", "a-\u{fc}7", long.as_str()] {
            let ends = text.char_indices().map(|(at, _)| at);
            for at in ends.chain([text.len()]) {
                let (head, tail) = text.split_at(at);
                let spelled = Spelled { head, tail };
                spelled.with(|whole| assert_eq!(whole, text));
                assert!(spelled.is(text));
                for other in ["db-", "db-00", "d", "x"] {
                    assert!(!spelled.is(other), "{text}");
                }
            }
        }
        let longer = Spelled {
            head: &long,
            tail: "b",
        };
        longer.with(|whole| assert_eq!(whole, format!("{long}b")));
    }
}
