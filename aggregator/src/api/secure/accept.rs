//! Which form of an answer a client takes: media type, and what of the objects.

use std::cmp::Reverse;

use http::{HeaderMap, header};

/// A media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Media {
    Json,
    /// Every JSON text is one of YAML.
    Yaml,
    Protobuf,
}

/// What of the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Shape {
    /// All of them.
    Whole,
    /// Cells for people, in this version of the group `meta.k8s.io`.
    Table(&'static str),
    /// Their metadata, in this version.
    Metadata(&'static str),
    /// Groups with all that is in them, in this version of the group `apidiscovery.k8s.io`.
    Discovery(&'static str),
}

/// A form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Form {
    pub(in super::super) media: Media,
    pub(in super::super) shape: Shape,
}

/// What is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    List,
    One,
    /// What says what is served.
    Groups,
    /// Anything else, which has no other shape.
    Plain,
}

/// Ranges of an `Accept` that are looked at: nobody has more to say.
const MOST: usize = 32;

impl Media {
    const ALL: [Media; 3] = [Media::Json, Media::Yaml, Media::Protobuf];

    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Media::Json => "application/json",
            Media::Yaml => "application/yaml",
            Media::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    fn is_in(self, range: &str) -> bool {
        range == self.as_str() || range == "*/*" || range == "application/*"
    }
}

/// One range of an `Accept`.
struct Clause<'a> {
    range: String,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default().to_ascii_lowercase();
        let pairs = parts.filter_map(|part| part.split_once('='));
        let parameters: Vec<_> = pairs.map(|(k, v)| (k.trim(), v.trim())).collect();
        let quality = parameters.iter().find(|(name, _)| *name == "q");
        let quality = quality.and_then(|(_, text)| text.parse().ok());
        Self {
            range,
            parameters,
            quality: quality.unwrap_or(1.0),
        }
    }

    fn parameter(&self, name: &str) -> &'a str {
        let mut parameters = self.parameters.iter();
        let found = parameters.find(|(key, _)| *key == name);
        found.map_or("", |(_, value)| value)
    }

    /// How exactly it names a type.
    fn exactness(&self) -> u8 {
        match self.range.as_str() {
            "*/*" => 0,
            range if range.ends_with("/*") => 1,
            _ => 2,
        }
    }

    /// The shape that it asks for, if that can be had of such an answer.
    fn shape(&self, kind: Kind, media: Media) -> Option<Shape> {
        let version = match self.parameter("v") {
            "v1" => "v1",
            "v1beta1" => "v1beta1",
            "v2" => "v2",
            "v2beta1" => "v2beta1",
            _ => "",
        };
        let is_meta = self.parameter("g") == "meta.k8s.io" && version.starts_with("v1");
        match (self.parameter("as"), kind) {
            ("", _) => Some(Shape::Whole),
            ("Table", Kind::List | Kind::One) if is_meta && media != Media::Protobuf => {
                Some(Shape::Table(version))
            }
            ("PartialObjectMetadata", Kind::One) | ("PartialObjectMetadataList", Kind::List)
                if is_meta =>
            {
                Some(Shape::Metadata(version))
            }
            ("APIGroupDiscoveryList", Kind::Groups)
                if self.parameter("g") == "apidiscovery.k8s.io"
                    && version.starts_with("v2")
                    && media == Media::Json =>
            {
                Some(Shape::Discovery(version))
            }
            _ => None,
        }
    }
}

/// The ranges that a client names, as far as they are looked at.
fn clauses(headers: &HeaderMap) -> Vec<Clause<'_>> {
    let texts = headers.get_all(header::ACCEPT).iter();
    let texts = texts.filter_map(|text| text.to_str().ok());
    let clauses = texts.flat_map(|text| text.split(','));
    let named = clauses.filter(|text| !text.trim().is_empty());
    named.take(MOST).map(Clause::parse).collect()
}

/// The form that a client likes best of those that there are; `None` when it takes none of them.
pub(in super::super) fn choose(headers: &HeaderMap, kind: Kind) -> Option<Form> {
    let mut clauses = clauses(headers);
    if clauses.is_empty() {
        return Some(Form {
            media: Media::Json,
            shape: Shape::Whole,
        });
    }
    // Stable: of equals the first.
    clauses.sort_by_key(|clause| Reverse((thousandths(clause.quality), clause.exactness())));
    let wanted = clauses.iter().filter(|clause| clause.quality > 0.0);
    wanted
        .flat_map(|clause| Media::ALL.map(|media| (clause, media)))
        .find_map(|(clause, media)| {
            let shape = clause.shape(kind, media)?;
            media.is_in(&clause.range).then_some(Form { media, shape })
        })
}

/// A quality as a number that can be compared.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "kept between 0 and 1000"
)]
fn thousandths(quality: f32) -> u16 {
    (quality.clamp(0.0, 1.0) * 1_000.0) as u16
}

/// Whether a client takes a type of programs that it names, and not that of pages, as kubectl does and no browser.
pub(super) fn is_of_programs(headers: &HeaderMap) -> bool {
    let clauses = clauses(headers);
    let takes = |range: &str| {
        let mut taken = clauses.iter().filter(|clause| clause.quality > 0.0);
        taken.any(|clause| clause.range == range)
    };
    Media::ALL.iter().any(|media| takes(media.as_str())) && !takes("text/html")
}

/// The media type of what goes wrong, which is never refused.
pub(in super::super) fn of_status(headers: &HeaderMap) -> Media {
    choose(headers, Kind::Plain).map_or(Media::Json, |form| form.media)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn chosen(accept: &str, kind: Kind) -> Option<(Media, Shape)> {
        let mut headers = HeaderMap::new();
        headers.append(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        choose(&headers, kind).map(|form| (form.media, form.shape))
    }

    const KUBECTL: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,\
                           application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
    const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
        application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

    #[test]
    fn each_client_gets_the_form_that_it_likes_best() {
        let (json, protobuf, whole) = (Media::Json, Media::Protobuf, Shape::Whole);
        for (accept, kind, expected) in [
            ("", Kind::List, Some((json, whole))),
            ("*/*", Kind::List, Some((json, whole))),
            ("application/*", Kind::One, Some((json, whole))),
            ("application/json", Kind::Plain, Some((json, whole))),
            ("application/yaml", Kind::List, Some((Media::Yaml, whole))),
            (
                "application/vnd.kubernetes.protobuf, */*",
                Kind::List,
                Some((protobuf, whole)),
            ),
            (
                "*/*, application/vnd.kubernetes.protobuf",
                Kind::List,
                Some((protobuf, whole)),
            ),
            (
                "application/vnd.kubernetes.protobuf;q=0.5,application/json",
                Kind::List,
                Some((json, whole)),
            ),
            ("text/html,application/json;q=0", Kind::List, None),
            ("text/html", Kind::List, None),
            ("text/html,*/*;q=0.1", Kind::List, Some((json, whole))),
            (KUBECTL, Kind::List, Some((json, Shape::Table("v1")))),
            (KUBECTL, Kind::One, Some((json, Shape::Table("v1")))),
            (KUBECTL, Kind::Plain, Some((json, whole))),
            (
                DISCOVERY,
                Kind::Groups,
                Some((json, Shape::Discovery("v2"))),
            ),
            (DISCOVERY, Kind::Plain, Some((json, whole))),
            (
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
                Kind::Groups,
                Some((json, Shape::Discovery("v2beta1"))),
            ),
            (
                "application/json;as=Table;v=v2;g=meta.k8s.io",
                Kind::List,
                None,
            ),
            (
                "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io",
                Kind::List,
                None,
            ),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
                Kind::List,
                Some((protobuf, Shape::Metadata("v1"))),
            ),
            (
                "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
                Kind::List,
                None,
            ),
        ] {
            assert_eq!(chosen(accept, kind), expected, "{accept}");
        }
        assert_eq!(of_status(&HeaderMap::new()), Media::Json);
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd(accept in "[ -~]{0,80}") {
            let _chosen = chosen(&accept, Kind::List);
        }
    }

    #[test]
    fn programs_name_a_type_of_theirs_that_they_take_and_pages_not() {
        for (accept, expected) in [
            ("application/json, */*", true),
            ("APPLICATION/YAML", true),
            ("application/json, text/html;q=0", true),
            ("text/html,application/json;q=0.9,*/*;q=0.8", false),
            ("application/json;q=0, */*", false),
            ("*/*", false),
            (" , application/vnd.kubernetes.protobuf", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
            assert_eq!(is_of_programs(&headers), expected, "{accept}");
        }
    }
}
