//! What a session answers to those who want the past.

use cairn_proto::codec::{DENSE, PLAIN, chunk};
use cairn_proto::v1::GapReason;

use super::*;
use crate::ring::{Block, Sealed};

fn sealed(ring: &Ring, block: u64) -> Sealed {
    match ring.block(&RUN, block) {
        Block::Sealed(sealed) => sealed,
        other => panic!("block {block} is {other:?}"),
    }
}

/// Takes frames up to a chunk, and what was defined before it.
async fn next_chunk(fake: &mut Fake) -> (v1::Chunk, Vec<(u32, String)>) {
    let mut defined = Vec::new();
    loop {
        match fake.next().await {
            Kind::Define(define) => defined.push((define.id, define.name)),
            Kind::Chunk(chunk) => return (chunk, defined),
            other => panic!("expected a chunk, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_past_comes_newest_first_with_the_begun_block_and_gaps_are_told() {
    let (mut setup, def) = (setup(), def());
    // Blocks 0 and 1 are too old: the newest tick is 990 s, the window 500 s.
    setup.ring = Ring::new(RUN, 500_000, 1 << 24);
    sample(&setup.ring, 100, &def);
    session(&setup, async |mut fake| {
        let hello = fake.welcome().await;
        assert_eq!((hello.oldest_block, hello.evicted_rows), (3, 48));
        assert_eq!(next_row(&mut fake).await.seq, 99);
        fake.answer(want(&RUN, 0, 8)).await;
        let gap = |first_seq, last_seq, reason: GapReason| v1::Gap {
            run: Some((&RUN).into()),
            first_seq,
            last_seq,
            reason: reason.into(),
        };
        let Kind::Gap(ahead) = fake.next().await else {
            panic!("a gap")
        };
        assert_eq!(ahead, gap(112, 143, GapReason::Open));
        for (block, rows) in [(6, 4), (5, 16), (4, 16), (3, 16)] {
            let Kind::Chunk(sent) = fake.next().await else {
                panic!("block {block}")
            };
            assert_eq!((sent.block, sent.run), (block, Some((&RUN).into())));
            let decoded = chunk::decode(&sent.payload).unwrap();
            assert_eq!((decoded.len(), decoded[0].offset), (rows, 0));
            let first = (decoded[0].tick, &decoded[0].snapshot);
            assert_eq!(first, (block * 160_000, &snapshot(block * 160)));
        }
        let Kind::Gap(evicted) = fake.next().await else {
            panic!("a gap")
        };
        assert_eq!(evicted, gap(0, 47, GapReason::Evicted));
        let other = Run { epoch_ms: 4, ..RUN };
        fake.answer(want(&other, 1, 1)).await;
        let Kind::Gap(unknown) = fake.next().await else {
            panic!("a gap")
        };
        assert_eq!(
            (unknown.reason(), unknown.run),
            (GapReason::UnknownRun, Some((&other).into()))
        );
        fake.refuse(Status::invalid_argument("enough")).await;
    })
    .await;
    assert_eq!(setup.metrics.chunks.get(), 4);
}

#[tokio::test(start_paused = true)]
async fn more_than_two_windows_of_the_past_wait_for_ten_minutes() {
    let (setup, def) = (setup(), def());
    sample(&setup.ring, 16, &def);
    session(&setup, async |mut fake| {
        fake.welcome().await;
        next_row(&mut fake).await;
        let began = Instant::now();
        for _ in 0..14 {
            fake.answer(want(&RUN, 0, 0)).await;
            assert!(matches!(fake.next().await, Kind::Chunk(_)));
        }
        fake.answer(want(&RUN, 0, 0)).await;
        assert!(fake.is_silent().await);
        // Rows go on meanwhile.
        sample(&setup.ring, 1, &def);
        assert_eq!(next_row(&mut fake).await.seq, 16);
        tokio::time::sleep_until(began + Duration::from_secs(599)).await;
        assert!(fake.is_silent().await);
        assert!(matches!(fake.next().await, Kind::Chunk(chunk) if chunk.block == 0));
        assert!(began.elapsed() >= Duration::from_secs(600));
        assert!(fake.is_silent().await);
        fake.refuse(Status::invalid_argument("enough")).await;
    })
    .await;
    assert_eq!(setup.metrics.chunks.get(), 15);
    assert_eq!(setup.metrics.wants_postponed.get(), 1);
}

#[tokio::test]
async fn a_sealed_block_goes_out_as_it_is_held_to_every_aggregator() {
    let (setup, def) = (setup(), def());
    sample(&setup.ring, 33, &def);
    for _ in 0..2 {
        session(&setup, async |mut fake| {
            fake.welcome_of(fake::welcome_to(DENSE, &[PLAIN, DENSE]))
                .await;
            assert_eq!(next_row(&mut fake).await.seq, 32);
            fake.answer(want(&RUN, 0, 0)).await;
            let (chunk, _) = next_chunk(&mut fake).await;
            assert_eq!((chunk.block, chunk.codec), (0, DENSE));
            assert_eq!(chunk.payload, *sealed(&setup.ring, 0).chunk);
            fake.refuse(Status::invalid_argument("enough")).await;
        })
        .await;
    }
}

/// Guarantees: an aggregator one version older gets the past in the codec that it reads.
#[tokio::test]
async fn who_reads_the_plain_codec_alone_gets_the_same_rows_in_it() {
    let (setup, def) = (setup(), def());
    sample(&setup.ring, 33, &def);
    session(&setup, async |mut fake| {
        fake.welcome_of(fake::welcome_to(PLAIN, &[PLAIN])).await;
        next_row(&mut fake).await;
        fake.answer(want(&RUN, 1, 2)).await;
        for block in [2, 1] {
            let (sent, _) = next_chunk(&mut fake).await;
            assert_eq!((sent.block, sent.codec), (block, PLAIN));
            assert_eq!(sent.payload.first(), Some(&1), "the codec in the payload");
            let rows = chunk::decode(&sent.payload).unwrap();
            if block == 1 {
                assert_eq!(rows, chunk::decode(&sealed(&setup.ring, 1).chunk).unwrap());
            }
        }
        fake.refuse(Status::invalid_argument("enough")).await;
    })
    .await;
    assert_eq!(setup.metrics.chunks.get(), 2);
}

#[tokio::test]
async fn what_a_chunk_names_is_defined_before_it_and_nothing_gets_an_old_name() {
    let setup = setup();
    let named = |id, name: &str| {
        Arc::new(EntityDef {
            id: EntityId(id),
            name: name.into(),
            ..(*def()).clone()
        })
    };
    let (job, old, new) = (named(2, "job"), named(1, "old"), named(1, "new"));
    // The job is in the first rows of block 0 alone; the node has another name from block 1 on.
    for seq in 0..34 {
        let there = if seq < 3 {
            vec![&old, &job]
        } else if seq < 16 {
            vec![&old]
        } else {
            vec![&new]
        };
        let mut builder = Builder::default();
        there.iter().for_each(|def| _ = builder.entity(def.id));
        let defs = there.into_iter().cloned().collect();
        setup.ring.push(seq * 10_000, builder.build(), defs);
        setup.ring.seal();
    }
    session(&setup, async |mut fake| {
        fake.welcome_of(fake::welcome_to(DENSE, &[DENSE])).await;
        assert!(matches!(fake.next().await, Kind::Define(define) if define.name == "new"));
        next_row(&mut fake).await;
        fake.answer(want(&RUN, 0, 1)).await;
        assert_eq!(next_chunk(&mut fake).await.1, []);
        let (chunk, defined) = next_chunk(&mut fake).await;
        assert_eq!((chunk.block, defined), (0, vec![(2, "job".to_owned())]));
        let rows = chunk::decode(&chunk.payload).unwrap();
        assert_eq!(rows[2].snapshot.entities(), [EntityId(1), EntityId(2)]);
        fake.refuse(Status::invalid_argument("enough")).await;
    })
    .await;
}

#[tokio::test]
async fn a_full_block_that_is_not_sealed_yet_is_sent_all_the_same() {
    let (setup, def) = (setup(), def());
    sample(&setup.ring, 16, &def);
    setup
        .ring
        .push(160_000, snapshot(160), vec![Arc::clone(&def)]);
    assert!(matches!(setup.ring.block(&RUN, 0), Block::Rows(_)));
    session(&setup, async |mut fake| {
        fake.welcome_of(fake::welcome_to(DENSE, &[DENSE])).await;
        assert_eq!(next_row(&mut fake).await.seq, 16);
        fake.answer(want(&RUN, 0, 0)).await;
        let (before, _) = next_chunk(&mut fake).await;
        setup.ring.seal();
        fake.answer(want(&RUN, 0, 0)).await;
        let (after, _) = next_chunk(&mut fake).await;
        assert_eq!(before.payload, after.payload);
        fake.refuse(Status::invalid_argument("enough")).await;
    })
    .await;
}

/// Scenario: a stream begins with row 19, is asked for one block of those before, and is acknowledged; then
/// everything falls out of the ring.
/// Guarantees: of the rows up to that one, those that nobody asked for are dropped ones, and no other is.
#[tokio::test]
async fn rows_that_nobody_asked_for_are_dropped_though_a_later_one_was_acknowledged() {
    for (block, had) in [(0, 17), (1, 4)] {
        let mut setup = setup();
        setup.ring = Ring::new(RUN, 100_000, 1 << 24);
        let def = def();
        sample(&setup.ring, 20, &def);
        session(&setup, async |mut fake| {
            fake.welcome().await;
            assert_eq!(next_row(&mut fake).await.seq, 19);
            fake.answer(want(&RUN, block, block)).await;
            next_chunk(&mut fake).await;
            fake.answer(ack(19)).await;
            fake.refuse(Status::unavailable("enough")).await;
        })
        .await;
        sample(&setup.ring, 30, &def);
        let stock = setup.ring.stock();
        assert_eq!((stock.evicted_of_run(), stock.dropped_rows), (32, 32 - had));
    }
}
