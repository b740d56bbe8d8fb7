//! Payloads that every decoder must refuse. A name says what is wrong.

use cairn_proto::codec::Error::{
    self, Codec, Empty, Flags, Limit, Order, Range, Trailing, Truncated,
};

use super::chunks::by_hand;
use super::vector::Vectors;

const COPIED: Error = Range("the column that is copied");

/// Columns of a chunk, by number.
type Columns<'a> = &'a [(u64, &'a [u8])];

/// Keyframes.
const KEYFRAMES: &[(&str, &[u8], Error)] = &[
    ("nothing", &[], Truncated("the codec number")),
    ("codec", &[9], Codec(9)),
    ("varint-of-11-bytes", &[0x80; 11], Range("the codec number")),
    (
        "plain-cut",
        &[1, 2, 3, 1, 64],
        Truncated("a column's length"),
    ),
    ("plain-more", &[1, 0, 0, 0], Trailing("a row")),
    ("plain-entities", &[1, 3, 3, 0, 0], Order("entities")),
    (
        "plain-columns",
        &[1, 2, 3, 2, 64, 4, 0, 1, 1, 10, 64, 4, 0, 1, 1, 10],
        Order("columns"),
    ),
    ("plain-flags", &[1, 2, 3, 1, 64, 4, 32, 1, 1, 10], Flags(32)),
    (
        "plain-spare-bits",
        &[1, 2, 3, 1, 64, 4, 0, 2, 1, 10],
        Range("presence bits"),
    ),
    ("plain-empty", &[1, 2, 3, 1, 64, 2, 0, 0], Empty),
    ("many-columns", &[2, 0, 0x81, 4], Limit("columns")),
    (
        "entity-over-32-bits",
        &[2, 2, 0xff, 0xff, 0xff, 0xff, 0x1f, 0],
        Range("an entity"),
    ),
    ("dense-more", &[2, 0, 0, 0], Trailing("a row")),
    (
        "dense-columns",
        &[2, 2, 3, 2, 65, 0, 64, 0],
        Order("columns"),
    ),
    (
        "dense-length",
        &[2, 2, 3, 1, 64, 3, 0x80, 1],
        Truncated("a column"),
    ),
    (
        "dense-steady-and-packed",
        &[2, 2, 3, 1, 64, 2, 0x48, 1],
        Flags(0x48),
    ),
    (
        "dense-spare-bits",
        &[2, 2, 3, 1, 64, 3, 0x80, 3, 10],
        Range("presence bits"),
    ),
    ("dense-empty", &[2, 2, 3, 1, 64, 1, 0x0c], Empty),
    (
        "dense-width",
        &[2, 2, 3, 1, 64, 4, 0xc0, 1, 0, 65],
        Range("a width"),
    ),
    (
        "dense-packed-spare-bits",
        &[2, 2, 3, 1, 64, 5, 0xc0, 1, 0, 1, 2],
        Range("differences"),
    ),
    (
        "dense-sized-code-of-0",
        &[2, 2, 3, 1, 64, 5, 0xc0, 1, 0, 0x80, 0],
        Range("a size"),
    ),
    (
        "dense-sized-code-of-7",
        &[2, 2, 3, 1, 64, 6, 0xc0, 1, 0, 0x87, 0, 0],
        Range("a size"),
    ),
    (
        "dense-sized-floor",
        &[2, 2, 3, 1, 64, 5, 0xc0, 1, 0, 0x81, 65],
        Range("a size"),
    ),
    (
        "dense-sized-over-64",
        &[2, 2, 3, 1, 64, 6, 0xc0, 1, 0, 0x81, 64, 1],
        Range("a size"),
    ),
    (
        "dense-sized-too-short",
        &[2, 2, 3, 1, 64, 6, 0xc0, 1, 0, 0x81, 8, 0],
        Truncated("a difference"),
    ),
    (
        "dense-sized-spare-bits",
        &[2, 2, 3, 1, 64, 6, 0xc0, 1, 0, 0x81, 0, 2],
        Range("differences"),
    ),
    (
        "dense-sized-more",
        &[2, 2, 3, 1, 64, 7, 0xc0, 1, 0, 0x81, 0, 0, 0],
        Trailing("a column"),
    ),
    (
        "dense-more-in-a-column",
        &[2, 2, 3, 1, 64, 4, 0x80, 1, 10, 0],
        Trailing("a column"),
    ),
    (
        "dense-copy-of-nothing",
        &[2, 2, 3, 1, 4, 2, 0x88, 0],
        COPIED,
    ),
];

/// Keyframes whose copies are of something else than an earlier time.
const COPIES: &[(&str, &[u8])] = &[
    ("of-itself", &[2, 2, 3, 1, 4, 2, 0x88, 4]),
    (
        "of-a-field",
        &[2, 2, 3, 2, 64, 3, 0x80, 1, 10, 65, 2, 0x88, 64],
    ),
    (
        "of-a-start",
        &[2, 2, 3, 2, 1, 3, 0x80, 1, 10, 4, 2, 0x88, 1],
    ),
];

/// Whole chunks.
const CHUNKS: &[(&str, &[u8], Error)] = &[
    ("plain-of-no-row", &[1, 0], Range("the number of rows")),
    ("plain-of-17-rows", &[1, 17], Limit("rows in a chunk")),
    (
        "plain-offset",
        &[1, 1, 16, 0, 3, 1, 0, 0],
        Range("a row's offset"),
    ),
    (
        "plain-same-offset",
        &[1, 2, 3, 1, 3, 1, 0, 0, 3, 2, 3, 1, 0, 0],
        Order("rows"),
    ),
    (
        "plain-same-tick",
        &[1, 2, 3, 1, 3, 1, 0, 0, 4, 1, 3, 1, 0, 0],
        Order("rows"),
    ),
    (
        "dense-of-no-row",
        &[2, 3, 0, 0, 0, 0, 0],
        Range("a mask of rows"),
    ),
    ("dense-span", &[2, 65], Limit("rows in a chunk")),
    (
        "dense-offset",
        &[2, 17, 0, 0, 1, 0, 0, 0, 0],
        Range("a row's offset"),
    ),
    (
        "dense-ticks-stand",
        &[2, 2, 3, 5, 0, 0, 0, 0],
        Order("rows"),
    ),
    ("dense-ticks-fall", &[2, 2, 3, 5, 1, 3, 0, 0], Order("rows")),
    (
        "dense-entity-in-no-row",
        &[2, 2, 3, 5, 1, 0, 1, 7, 1, 0, 0],
        Range("a mask of rows"),
    ),
    ("dense-more", &[2, 1, 1, 5, 0, 0, 0, 9], Trailing("a chunk")),
];

/// Chunks with nothing wrong but in a column.
const COLUMNS: &[(&str, Columns<'_>, Error)] = &[
    ("columns", &[(65, &[]), (64, &[])], Order("columns")),
    ("flags", &[(64, &[0x2c, 1, 10])], Flags(0x2c)),
    ("copy-with-a-flag", &[(64, &[0x14, 0])], Flags(0x14)),
    ("no-series", &[(64, &[8, 0])], Empty),
    (
        "own-empty-mask",
        &[(64, &[4, 1, 0, 1, 10])],
        Range("a mask of rows"),
    ),
    (
        "alike-and-none-before",
        &[(64, &[12, 2, 10])],
        Order("forms of series"),
    ),
    (
        "form-of-nobody",
        &[(64, &[12, 5, 10])],
        Range("forms of series"),
    ),
    (
        "difference-cut",
        &[(64, &[12, 3, 10, 8, 0])],
        Truncated("differences"),
    ),
    (
        "difference-spare-bits",
        &[(64, &[12, 3, 10, 1, 0, 2])],
        Range("differences"),
    ),
    (
        "more-in-a-column",
        &[(64, &[12, 1, 10, 0])],
        Trailing("a column"),
    ),
    ("copy-of-nothing", &[(4, &[16, 0])], COPIED),
    (
        "copy-of-a-copy",
        &[(0, &[12, 1, 10]), (4, &[16, 0]), (8, &[16, 4])],
        COPIED,
    ),
];

pub(crate) fn rows(to: &mut Vectors) {
    for (name, bytes, why) in KEYFRAMES {
        to.refused_row(&format!("refused-{name}"), None, bytes, *why);
    }
    for (name, bytes) in COPIES {
        to.refused_row(&format!("refused-dense-copy-{name}"), None, bytes, COPIED);
    }
    let base = Some("plain-keyframe");
    // 2^63 - 1 times 1024.
    let far = [
        1, 0, 1, 64, 12, 6, 1, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
    ];
    to.refused_row(
        "refused-plain-difference",
        base,
        &far,
        Range("a difference"),
    );
}

pub(crate) fn chunks(to: &mut Vectors) {
    for (name, bytes, why) in CHUNKS {
        to.refused_chunk(&format!("refused-chunk-{name}"), bytes, *why);
    }
    for (name, columns, why) in COLUMNS {
        to.refused_chunk(&format!("refused-chunk-{name}"), &by_hand(columns), *why);
    }
    let field: [(u64, &[u8]); 2] = [(64, &[12, 1, 10]), (65, &[16, 64])];
    to.refused_chunk("refused-chunk-copy-of-a-field", &by_hand(&field), COPIED);
}
