//! Which pods a replay shows: the recorded ones, their copies, and their names and UIDs in each
//! loop.

use std::collections::BTreeMap;

use serde_json::Value;

use super::growth::Plan;
use super::identity;
use super::replay::Parsed;
use super::summary;

/// Denominator of [`Copy`]'s factor.
const WHOLE: u64 = 1024;

/// Memory is handed out in pages of this size.
const PAGE_BYTES: u64 = 4096;

/// How a copy's figures relate to the recorded ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copy {
    /// In parts of [`WHOLE`]; exactly [`WHOLE`] for the recorded pod itself.
    factor: u64,
}

impl Copy {
    /// The recorded entity itself.
    pub(super) const RECORDED: Self = Self { factor: WHOLE };

    /// A counter or rate of the copy. Rising input gives rising output.
    pub(super) fn scaled(self, recorded: u64) -> u64 {
        let scaled = u128::from(recorded) * u128::from(self.factor) / u128::from(WHOLE);
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }

    /// An amount of memory of the copy: whole pages.
    pub(super) fn pages(self, recorded: u64) -> u64 {
        if self.factor == WHOLE {
            return recorded;
        }
        self.scaled(recorded) / PAGE_BYTES * PAGE_BYTES
    }
}

/// One pod as it is shown.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) copy: Copy,
}

#[derive(Debug)]
struct Pod {
    name: String,
    uid: String,
    rank: usize,
    lasts: bool,
}

/// All pods that the recording of a node ever shows.
#[derive(Debug)]
pub(super) struct Roster {
    pods: BTreeMap<String, Pod>,
    first_count: usize,
    wanted: Option<usize>,
    seed: u64,
}

impl Roster {
    /// Reads the pods of all frames. `wanted` is the number of pods in the first frame; `None`
    /// shows the recording as it is.
    pub(super) fn new(frames: &[Parsed], plan: &Plan, wanted: Option<usize>, seed: u64) -> Self {
        let mut pods = BTreeMap::new();
        let mut first_count = 0;
        for (number, frame) in frames.iter().enumerate() {
            for pod in frame.summary["pods"].as_array().into_iter().flatten() {
                let path = summary::pod_path(pod);
                let rank = pods.len();
                let text = |key: &str| pod["podRef"][key].as_str().unwrap_or("").to_owned();
                pods.entry(path.clone()).or_insert_with(|| Pod {
                    name: text("name"),
                    uid: text("uid"),
                    rank,
                    lasts: plan.lasts(&path),
                });
            }
            if number == 0 {
                first_count = pods.len();
            }
        }
        Self {
            pods,
            first_count,
            wanted,
            seed,
        }
    }

    /// The pods that stand for the recorded pod at `path` in a loop: the recorded one first, then
    /// its copies; none when the replay is scaled below the recording. A pod that no recorded summary
    /// lists is shown as it was, in the first loop of a replay that is not scaled.
    pub(super) fn shown(&self, path: &str, loop_index: u32) -> Vec<Shown> {
        match self.pods.get(path) {
            Some(pod) => (0..self.copies(pod))
                .map(|copy| self.life(path, pod, copy, loop_index))
                .collect(),
            None if self.changes_names(loop_index) => Vec::new(),
            None => vec![Shown {
                name: path.rsplit('/').next().unwrap_or_default().to_owned(),
                uid: String::new(),
                copy: Copy::RECORDED,
            }],
        }
    }

    /// Whether names, numbers or order can differ from the recording's.
    pub(super) fn changes_names(&self, loop_index: u32) -> bool {
        self.wanted.is_some() || loop_index > 0
    }

    fn copies(&self, pod: &Pod) -> usize {
        match self.wanted {
            None => 1,
            Some(wanted) => {
                let first = self.first_count.max(1);
                wanted / first + usize::from(pod.rank % first < wanted % first)
            }
        }
    }

    fn life(&self, path: &str, pod: &Pod, copy: usize, loop_index: u32) -> Shown {
        // A pod that is in the first and in the last frame is one pod for ever.
        let life_index = if pod.lasts { 0 } else { u64::from(loop_index) };
        let copies = self.wanted.unwrap_or(1) as u64 + 1;
        let ordinal = |life_index: u64| {
            (life_index * copies + copy as u64) * self.pods.len() as u64 + pod.rank as u64
        };
        if copy == 0 && life_index == 0 {
            return Shown {
                name: pod.name.clone(),
                uid: pod.uid.clone(),
                copy: Copy::RECORDED,
            };
        }
        let name = match identity::deployment_base(&pod.name) {
            Some(base) => {
                let suffix = identity::suffix(self.seed, base, ordinal(life_index));
                format!("{base}-{suffix}")
            }
            None if copy == 0 => pod.name.clone(),
            None => {
                let suffix = identity::suffix(self.seed, &pod.name, ordinal(0));
                format!("{}-{suffix}", pod.name)
            }
        };
        let copy = if copy == 0 {
            Copy::RECORDED
        } else {
            // From half to one and a half of the recorded load, the same in every loop.
            let spread = identity::hash(self.seed, &format!("{path}#{copy}")) % (WHOLE + 1);
            Copy {
                factor: WHOLE / 2 + spread,
            }
        };
        Shown {
            name,
            uid: identity::uid(self.seed, path, ordinal(life_index)),
            copy,
        }
    }
}

/// Puts a shown pod's name and UID into an element of `pods`.
pub(super) fn rename(pod: &mut Value, shown: &Shown) {
    pod["podRef"]["name"] = Value::String(shown.name.clone());
    pod["podRef"]["uid"] = Value::String(shown.uid.clone());
}
