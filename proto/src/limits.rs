//! Every limit on what a peer may send, in one place.
//!
//! A limit is checked before the thing it limits is buffered or decoded. Each constant says why
//! it has that value and what breaks above and below it.

/// Distances that the ticks of a grid may have, s: the divisors of a minute that anybody asked for.
/// All nodes share grid times at each whole minute, whatever their intervals.
pub const INTERVALS_S: [u64; 8] = [1, 2, 5, 10, 15, 20, 30, 60];

/// True of an interval that agents have, ms.
#[must_use]
pub fn is_interval(interval_ms: u64) -> bool {
    INTERVALS_S.iter().any(|s| s * 1_000 == interval_ms)
}

/// The longest window, s. A day of 10 s rows is 8,640 of them a node.
pub const MAX_WINDOW_S: u64 = 24 * 3_600;

/// Live entity ids of one node.
///
/// Twenty times the largest supported node (110 pods with three containers, their file systems
/// and interfaces). Above it one node could hold the memory of a fleet.
pub const MAX_ENTITIES: usize = 65_535;

/// Bytes of all strings of one `Define`: a pod name, a namespace, a UID and a runtime id at their
/// longest come to 253 + 63 + 36 + 64.
pub const MAX_DEFINE_BYTES: usize = 512;

/// Bytes of one name (DNS subdomain, the longest name that Kubernetes gives out).
pub const MAX_NAME_BYTES: usize = 253;

/// Labels of one `Define`.
pub const MAX_LABELS: usize = 16;

/// Bytes of free text in a frame (reasons); longer text is cut, not refused.
pub const MAX_TEXT_BYTES: usize = 1024;

/// Columns of one row: twice what the catalogue holds.
pub const MAX_COLUMNS: usize = 512;

/// Cells of one decoded row: values and stamps that are there.
///
/// A presence bit costs an eighth of a byte on the wire and twelve bytes decoded; without this
/// limit a row of `MAX_ROW_BYTES` could ask for half a gigabyte. 65,535 entities with 30 cells
/// each fit.
pub const MAX_CELLS: usize = 2_000_000;

/// Cells of one block.
///
/// A steady column of a chunk costs two bits an entity and is sixteen cells of it. A block of a node
/// of 1,000 pods with every field of the catalogue has four million.
pub const MAX_CHUNK_CELLS: usize = 4 * MAX_CELLS;

/// Bytes of one encoded row. A keyframe of 2,000 pods with 20 fields in the plain codec is 600 KB.
pub const MAX_ROW_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of one gRPC message, either way: a row and its envelope.
pub const MAX_FRAME_BYTES: usize = MAX_ROW_BYTES + 4096;

/// Rows of one block; chunks seal whole blocks. Longer blocks would keep too many rows past the
/// window, shorter ones would pay for their dictionary too often.
pub const BLOCK_ROWS: u64 = 16;

/// The highest seq of a run: more rows than any run lives to write, and few enough that what is
/// counted from seqs, blocks and intervals fits its type.
pub const MAX_SEQ: u64 = (1 << 60) - 1;

/// Runtime ids of one `Resolve`, and UIDs of pods.
pub const MAX_RESOLVE_IDS: usize = 256;

/// Row codecs listed in `Hello`.
pub const MAX_CODECS: usize = 16;

/// Runs before its own of which an agent tells: a window that has more has one that stands for the
/// oldest of them. Each costs an aggregator some 70 bytes a node.
pub const MAX_EARLIER_RUNS: usize = 8;

/// Bytes of a bearer token: a projected token is about 1.2 KB.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;
