//! The recordings of the repository, and the ticks at which a system replays them.

use std::path::{Path, PathBuf};

use crate::trace::{Error, Trace};

/// When the carried recording begins: the moment of its first frame, Unix ms.
pub const TRACE_START_MS: u64 = 1_795_332_326_328;

/// The first tick of a 10 s grid at which the carried recording's first frame is known, Unix ms.
pub const FIRST_TICK_MS: u64 = 1_795_332_330_000;

/// The tick so many after the first one of a 10 s grid, Unix ms.
#[must_use]
pub fn at(k: u64) -> u64 {
    FIRST_TICK_MS + k * INTERVAL_MS
}

/// Ticks of the carried recording.
pub const TRACE_TICKS: u64 = 30;

/// Distance of the ticks, ms.
const INTERVAL_MS: u64 = 10_000;

/// A recording as a system replays it, from its own beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The archive; `None` is the recording that the simulator carries.
    pub archive: Option<PathBuf>,
    /// Its nodes, sorted.
    pub nodes: Vec<String>,
    /// The moment of its first frame, Unix ms.
    pub start_ms: u64,
    /// The first tick that sees a frame, Unix ms.
    pub first_tick_ms: u64,
    /// How many ticks it takes until every frame has been seen.
    pub tick_count: u64,
}

impl Recording {
    /// The recording that the simulator carries.
    #[must_use]
    pub fn carried() -> Self {
        Self {
            archive: None,
            nodes: vec!["node1".to_owned(), "node2".to_owned()],
            start_ms: TRACE_START_MS,
            first_tick_ms: FIRST_TICK_MS,
            tick_count: TRACE_TICKS,
        }
    }

    /// A recording of the fixtures: `trace`, `pods-51` or `cgroup-v2`.
    ///
    /// # Errors
    ///
    /// As [`Trace::load`].
    pub fn named(name: &str) -> Result<Self, Error> {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/kubelet-1.36");
        Self::load(&fixtures.join(format!("{name}.tar.gz")))
    }

    /// A recording in an archive.
    ///
    /// # Errors
    ///
    /// As [`Trace::load`].
    pub fn load(archive: &Path) -> Result<Self, Error> {
        let trace = Trace::load(archive)?;
        let nodes: Vec<String> = trace.nodes().into_iter().map(str::to_owned).collect();
        let mut last_ms = trace.base_ms();
        for node in &nodes {
            let frames = trace.frames(node)?.iter();
            last_ms = frames.fold(last_ms, |last, frame| last.max(frame.captured_at_ms));
        }
        let first_tick_ms = trace.base_ms().next_multiple_of(INTERVAL_MS);
        let last_tick_ms = last_ms.next_multiple_of(INTERVAL_MS);
        Ok(Self {
            archive: Some(archive.to_path_buf()),
            nodes,
            start_ms: trace.base_ms(),
            first_tick_ms,
            tick_count: (last_tick_ms - first_tick_ms) / INTERVAL_MS + 1,
        })
    }

    /// Its ticks, Unix ms.
    pub fn ticks(&self) -> impl Iterator<Item = u64> + use<> {
        let first_ms = self.first_tick_ms;
        (0..self.tick_count).map(move |k| first_ms + k * INTERVAL_MS)
    }
}

/// The ticks of the carried recording, Unix ms.
pub fn ticks() -> impl Iterator<Item = u64> {
    Recording::carried().ticks()
}

#[cfg(test)]
mod tests {
    use super::Recording;
    use crate::trace::{Options, Replay, Trace};

    #[test]
    fn the_carried_recording_is_the_one_of_the_fixtures() {
        let mut named = Recording::named("trace").unwrap();
        named.archive = None;
        assert_eq!(named, Recording::carried());
    }

    #[test]
    fn the_others_have_their_own_nodes_and_ticks() {
        let of = |name: &str| {
            let found = Recording::named(name).unwrap();
            let ticks: Vec<u64> = found.ticks().collect();
            assert_eq!(ticks.len() as u64, found.tick_count);
            (found.nodes, ticks[0], *ticks.last().unwrap())
        };
        assert_eq!(
            of("pods-51"),
            (
                vec!["node1".to_owned()],
                1_795_332_800_000,
                1_795_332_850_000
            )
        );
        assert_eq!(
            of("cgroup-v2"),
            (
                vec!["node3".to_owned()],
                1_795_335_930_000,
                1_795_336_330_000
            )
        );
        assert!(Recording::named("none").is_err());
    }

    /// At each tick the last capture at or before it, byte for byte, and no second loop.
    #[test]
    fn a_replay_from_the_recordings_start_shows_what_was_recorded() {
        for name in ["trace", "pods-51", "cgroup-v2"] {
            let recording = Recording::named(name).unwrap();
            let trace = Trace::load(recording.archive.as_deref().unwrap()).unwrap();
            for node in &recording.nodes {
                let options = Options::starting(recording.start_ms);
                let replay = Replay::new(&trace, node, options).unwrap();
                let frames = trace.frames(node).unwrap();
                for tick_ms in recording.ticks() {
                    let seen = frames.iter().rfind(|f| f.captured_at_ms <= tick_ms);
                    let (seen, shown) = (seen.unwrap(), replay.at(tick_ms));
                    assert!(shown.summary == seen.summary, "{name} {node} {tick_ms}");
                    assert!(shown.resource == seen.resource, "{name} {node} {tick_ms}");
                }
            }
        }
    }
}
