//! What sealing a block takes on top of what is held.

use allocation_counter::{AllocationInfo, measure};
use cairn_agent::ring::{Block, Ring};
use cairn_agent::sampler::registry::Registry;
use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::Run;

use crate::node::{self, INTERVAL_MS};
use crate::sources::merged;

/// Blocks that are sealed, of which the last is counted.
const BLOCKS: u64 = 4;

/// The most that there may be for one entity while a block is sealed: 259 were measured, the chunk's 33 among them; it
/// was 738 when each stamp was kept with its cells at hand, and room was made for differences of every entity.
const BYTES_OF_AN_ENTITY: u64 = 285;

/// What is left of a block's ticks differs by so much from its chunk, bytes: the row that the next one begins with is not as
/// long as the one before.
const APART: u64 = 1 << 10;

/// The last of some blocks.
struct Sealed {
    /// What sealing it took.
    sealing: AllocationInfo,
    /// What was left after all of its ticks of what was not there before, bytes.
    left: i64,
    /// Bytes of its chunk.
    chunk: usize,
    entities: usize,
}

fn seal(pods: usize) -> Sealed {
    let (begin_ms, replay) = node::replay(pods).unwrap();
    let run = Run {
        epoch_ms: begin_ms,
        boot_id: [7; 16],
        clock_stepped: false,
    };
    let ring = Ring::new(run, 900_000, 1 << 24);
    let mut registry = Registry::default();
    let mut sealing = AllocationInfo::default();
    let (mut left, mut block) = (0, 0);
    // A block is sealed at the first tick of the next one.
    for n in 0..=BLOCKS * BLOCK_ROWS {
        let tick = begin_ms + n * INTERVAL_MS;
        let all = measure(|| {
            let merged = merged(&replay, tick, &mut registry);
            ring.push(tick, merged.snapshot, merged.defs);
            sealing = measure(|| ring.seal());
        });
        left += all.bytes_current;
        if n % BLOCK_ROWS == 0 && n < BLOCKS * BLOCK_ROWS {
            (left, block) = (0, n / BLOCK_ROWS);
        }
    }
    let Block::Sealed(sealed) = ring.block(&run, block) else {
        panic!("block {block} is not sealed");
    };
    Sealed {
        sealing,
        left,
        chunk: sealed.chunk.len(),
        entities: sealed.defs.len(),
    }
}

/// Scenario: the recorded kubelet with 110 pods, and with 220; block after block of their rows is sealed.
/// Guarantees: while a block is sealed no more is there for it than so many bytes an entity, its chunk included; and
/// of all its ticks nothing is left but the chunk.
#[test]
fn sealing_a_block_takes_little_room_and_leaves_nothing_behind() {
    for pods in [110, 220] {
        let Sealed {
            sealing,
            left,
            chunk,
            entities,
        } = seal(pods);
        let most = sealing.bytes_max;
        println!(
            "{pods} pods: {most} bytes for {entities} entities and a chunk of {chunk}, {left} left"
        );
        assert!(entities > pods * 5, "{entities} entities");
        assert!(most > chunk as u64, "{sealing:?}");
        assert!(most <= entities as u64 * BYTES_OF_AN_ENTITY, "{sealing:?}");
        let apart = left.abs_diff(i64::try_from(chunk).unwrap());
        assert!(apart <= APART, "{left} bytes left, of a chunk of {chunk}");
    }
}
