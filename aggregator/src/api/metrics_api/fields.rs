//! Field selectors: `metadata.name` and `metadata.namespace`, with `=`, `==` and `!=`.

/// A selector that was read; without terms it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<Term>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    field: Field,
    value: String,
    // False: it must be another.
    is: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Name,
    Namespace,
}

impl Fields {
    /// Reads a selector: terms between commas, in whose values `\` keeps `,`, `=` and itself.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut terms = Vec::new();
        for term in split(text) {
            if term.trim().is_empty() {
                continue;
            }
            let (name, value, is) = sides(term)
                .ok_or_else(|| format!("invalid selector: {text:?}; can't understand {term:?}"))?;
            let field = match name.trim() {
                "metadata.name" => Field::Name,
                "metadata.namespace" => Field::Namespace,
                other => {
                    return Err(format!(
                        "{other:?} is not a known field selector: only \"metadata.name\", \
                         \"metadata.namespace\""
                    ));
                }
            };
            let value = unescaped(value)
                .ok_or_else(|| format!("invalid field selector: {value:?} has a wrong escape"))?;
            terms.push(Term { field, value, is });
        }
        Ok(Self(terms))
    }

    /// True when this name, in this namespace, meets every term. What is in no namespace has an empty one.
    pub(super) fn matches(&self, namespace: &str, name: &str) -> bool {
        self.0.iter().all(|term| {
            let found = match term.field {
                Field::Name => name,
                Field::Namespace => namespace,
            };
            (found == term.value) == term.is
        })
    }

    /// True when nothing in this namespace can meet every term.
    pub(super) fn excludes_namespace(&self, namespace: &str) -> bool {
        let mut terms = self.0.iter().filter(|term| term.field == Field::Namespace);
        terms.any(|term| (namespace == term.value) != term.is)
    }
}

/// The terms of a selector: commas that nothing keeps stand between them.
fn split(text: &str) -> Vec<&str> {
    let (mut terms, mut rest) = (Vec::new(), text);
    let mut from = 0;
    let mut is_kept = false;
    while let Some(byte) = rest.as_bytes().get(from) {
        if is_kept {
            is_kept = false;
        } else if *byte == b'\\' {
            is_kept = true;
        } else if *byte == b',' {
            let Some((term, after)) = rest.split_at_checked(from) else {
                break;
            };
            terms.push(term);
            rest = after.strip_prefix(',').unwrap_or_default();
            from = 0;
            continue;
        }
        from += 1;
    }
    terms.push(rest);
    terms
}

/// A term's field and value, and whether they must be equal. The first sign in it counts.
fn sides(term: &str) -> Option<(&str, &str, bool)> {
    let at = term.find(['=', '!'])?;
    let (name, sign) = term.split_at_checked(at)?;
    if let Some(value) = sign.strip_prefix("!=") {
        return Some((name, value, false));
    }
    let value = sign.strip_prefix("==").or_else(|| sign.strip_prefix('='))?;
    Some((name, value, true))
}

fn unescaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                kept @ ('\\' | ',' | '=') => out.push(kept),
                _ => return None,
            },
            ',' | '=' => return None,
            other => out.push(other),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_namespaces_select() {
        for (text, shop_web, shop_db, node) in [
            ("", true, true, true),
            ("metadata.name=web", true, false, false),
            ("metadata.name==web", true, false, false),
            ("metadata.name!=web", false, true, true),
            ("metadata.namespace=shop", true, true, false),
            ("metadata.namespace!=shop", false, false, true),
            (
                "metadata.namespace=shop,metadata.name!=db",
                true,
                false,
                false,
            ),
            (",metadata.name=web,", true, false, false),
            ("metadata.name=w\\=b", false, false, false),
        ] {
            let fields = Fields::parse(text).unwrap();
            assert_eq!(fields.matches("shop", "web"), shop_web, "{text}");
            assert_eq!(fields.matches("shop", "db"), shop_db, "{text}");
            assert_eq!(fields.matches("", "node1"), node, "{text}");
        }
        let fields = Fields::parse("metadata.namespace=shop").unwrap();
        assert!(fields.excludes_namespace("base") && !fields.excludes_namespace("shop"));
    }

    #[test]
    fn others_are_refused_in_the_words_of_the_first_server() {
        assert_eq!(
            Fields::parse("spec.nodeName=a").unwrap_err(),
            "\"spec.nodeName\" is not a known field selector: only \"metadata.name\", \
             \"metadata.namespace\""
        );
        for text in [
            "metadata.name",
            "metadata.name!web",
            "metadata.name=a=b",
            "metadata.name=\\x",
        ] {
            assert!(Fields::parse(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd(text in "[a-z.=!,\\\\ \u{e4}]{0,40}") {
            drop(Fields::parse(&text));
        }
    }
}
