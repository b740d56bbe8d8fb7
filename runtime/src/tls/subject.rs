//! The subject of a certificate: a name and the organizations that it belongs to.
//!
//! Only what Kubernetes makes a user of is read: common name and organizations. The library that judges
//! certificates hands the subject out as DER, so the few elements of it are walked through here.

/// Who a certificate is for, as its issuer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The last common name (CN); empty when it has none.
    pub common_name: String,
    /// The organizations (O), in their order.
    pub organizations: Vec<String>,
}

/// Attributes of a subject that are looked at; a subject with more has none of those beyond.
const MOST: usize = 64;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const IA5: u8 = 0x16;

/// 2.5.4.3 and 2.5.4.10.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
const ORGANIZATION: [u8; 3] = [0x55, 0x04, 0x0a];

impl Subject {
    /// Reads a subject, without the tag and length of the sequence that it is; `None` when it is not one,
    /// or a name in it is no text.
    pub(super) fn parse(der: &[u8]) -> Option<Self> {
        let mut subject = Self::default();
        let mut sets = der;
        for _ in 0..MOST {
            if sets.is_empty() {
                return Some(subject);
            }
            let mut attributes = take(&mut sets, SET)?;
            while !attributes.is_empty() {
                let mut attribute = take(&mut attributes, SEQUENCE)?;
                let id = take(&mut attribute, OBJECT_ID)?;
                if id == COMMON_NAME {
                    subject.common_name = text(attribute)?;
                } else if id == ORGANIZATION {
                    subject.organizations.push(text(attribute)?);
                }
            }
        }
        sets.is_empty().then_some(subject)
    }
}

/// Takes the content of the next element, which must have this tag.
fn take<'a>(from: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, content) = next(from)?;
    (found == tag).then_some(content)
}

/// Takes the next element: its tag and its content.
fn next<'a>(from: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (tag, rest) = from.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let length = match first {
        0..=0x7f => usize::from(*first),
        // One or two bytes of length: a subject of 64 KiB is none.
        0x81 | 0x82 => {
            let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = after;
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    *from = after;
    Some((*tag, content))
}

fn text(mut element: &[u8]) -> Option<String> {
    match next(&mut element)? {
        (UTF8 | PRINTABLE | IA5, bytes) => String::from_utf8(bytes.to_vec()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut der = vec![tag];
        match u8::try_from(content.len()) {
            Ok(short) if short < 0x80 => der.push(short),
            Ok(long) => der.extend([0x81, long]),
            Err(_) => {
                der.push(0x82);
                der.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
            }
        }
        der.extend(content);
        der
    }

    fn attribute(id: [u8; 3], tag: u8, value: &str) -> Vec<u8> {
        let pair = [element(OBJECT_ID, &id), element(tag, value.as_bytes())].concat();
        element(SEQUENCE, &pair)
    }

    fn one(id: [u8; 3], tag: u8, value: &str) -> Vec<u8> {
        element(SET, &attribute(id, tag, value))
    }

    #[test]
    fn names_and_organizations_are_read_in_every_spelling() {
        let long = "n".repeat(300);
        let der = [
            one(ORGANIZATION, PRINTABLE, "system:masters"),
            one([0x55, 0x04, 0x06], PRINTABLE, "CH"),
            element(
                SET,
                &[
                    attribute(ORGANIZATION, UTF8, "second"),
                    attribute(COMMON_NAME, UTF8, &long),
                ]
                .concat(),
            ),
        ]
        .concat();
        let subject = Subject::parse(&der).unwrap();
        assert_eq!(subject.organizations, ["system:masters", "second"]);
        assert_eq!(subject.common_name, long);
        assert_eq!(Subject::parse(&[]), Some(Subject::default()));
    }

    #[test]
    fn what_is_cut_off_or_no_text_is_no_subject() {
        let whole = one(COMMON_NAME, UTF8, "front-proxy-client");
        for end in 1..whole.len() {
            assert_eq!(Subject::parse(whole.get(..end).unwrap()), None, "{end}");
        }
        let not_text = element(
            SET,
            &element(
                SEQUENCE,
                &[element(OBJECT_ID, &COMMON_NAME), element(UTF8, &[0xff])].concat(),
            ),
        );
        assert_eq!(Subject::parse(&not_text), None);
        // A length that is told in more bytes than a subject can have.
        assert_eq!(Subject::parse(&[SET, 0x84, 0, 0, 0, 0]), None);
        let many = one(ORGANIZATION, UTF8, "o").repeat(MOST + 1);
        assert_eq!(Subject::parse(&many), None);
    }
}
