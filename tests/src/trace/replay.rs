//! The replay of one node: a pure function from a moment to two bodies.

use serde_json::ser::PrettyFormatter;
use serde_json::{Serializer, Value};

use super::exposition::{self, Family, Sample};
use super::growth::{self, Plan};
use super::roster::{self, Copy, Roster};
use super::summary::{self, Pass};
use super::{Error, Recorded, Trace};

/// The pause between a recording's end and its beginning, and the unit of its length.
const FRAME_MS: u64 = 10_000;

/// How a recording is replayed.
#[derive(Clone, Debug)]
pub struct Options {
    /// The moment at which the first frame of the recording's first node is shown, Unix
    /// milliseconds. The recording's own ([`Trace::base_ms`]) shows it as it was.
    pub start_unix_ms: u64,
    /// How many pods the first frame shows; the others in proportion. `None` shows the recorded.
    pub pods: Option<usize>,
    /// Decides the names, UIDs and sizes of pods that the recording does not have.
    pub seed: u64,
    /// The node name to say, when it is not the recorded one.
    pub node_name: Option<String>,
}

impl Options {
    /// The recording as it was, from `start_unix_ms`.
    #[must_use]
    pub fn starting(start_unix_ms: u64) -> Self {
        Self {
            start_unix_ms,
            pods: None,
            seed: 0,
            node_name: None,
        }
    }
}

/// Where in the recording a moment falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// How many times the recording has been shown whole.
    pub loop_index: u32,
    /// The frame, from 0.
    pub frame: usize,
}

/// What a kubelet answers at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The body of `/stats/summary`.
    pub summary: Vec<u8>,
    /// The body of `/metrics/resource`.
    pub resource: Vec<u8>,
}

/// A recorded frame, read.
#[derive(Debug)]
pub(super) struct Parsed {
    /// Milliseconds after the recording's zero.
    pub(super) offset_ms: u64,
    pub(super) summary: Value,
    pub(super) resource: Vec<Family>,
}

/// The replay of one node.
///
/// * **Position.** The frame shown is the last one captured at or before `moment - start`, counted
///   from the first capture of the recording's first node; before the start it is the first.
///   After the last frame and ten more seconds (rounded to whole ten seconds) the recording begins
///   again: loop 1, 2, ...
/// * **Time.** Every time in both bodies moves by `start - base`, rounded down to whole seconds
///   (so that a time is never in the future, and the seconds of the one body and the milliseconds
///   of the other stay consistent), and by the length of a loop for every loop. Start times of
///   what lives on from loop to loop do not move with the loops.
/// * **What lives on**: the node; a system container, a pod, a container of such a pod that is the
///   same (UID, or name and start time) in the first and in the last frame. Its counters grow from
///   loop to loop by their mean rate over the recording, and at least so much that they never go
///   down. A reading that a later loop would show with a time before the last of the loop before
///   is held: the last one is shown again.
/// * **What comes and goes** does so again in every loop, as a new pod: with the recorded counters,
///   a new UID, and, when a Deployment names it, a new name. Other pods keep their name. So a pod
///   of the first frame that is gone in the last one is another pod in the next loop.
/// * **Scale.** Each recorded pod is shown `pods / first` times, `first` being the number of pods
///   in the first frame, the remainder going to the first ones by order of appearance. The first of
///   them is the recorded pod, the others have their own name and UID, and all their counters,
///   CPU rates and memory times a factor between 0.5 and 1.5 of their own. Limits, storage and node
///   figures stay.
#[derive(Debug)]
pub struct Replay {
    frames: Vec<Parsed>,
    plan: Plan,
    roster: Roster,
    start_unix_ms: u64,
    shift_s: i64,
    loop_ms: u64,
    node_name: Option<String>,
}

impl Replay {
    /// Prepares the replay of `node`.
    ///
    /// # Errors
    ///
    /// `Node` when the recording has no such node, `Json` or `Shape` when a body of it is damaged.
    pub fn new(trace: &Trace, node: &str, options: Options) -> Result<Self, Error> {
        let base_ms = trace.base_ms();
        let frames: Vec<Parsed> = trace
            .frames(node)?
            .iter()
            .zip(1..)
            .map(|(recorded, number)| parse(recorded, number, base_ms))
            .collect::<Result<_, _>>()?;
        let last_ms = frames.last().map_or(0, |frame| frame.offset_ms);
        let loop_ms = (last_ms + FRAME_MS + FRAME_MS / 2) / FRAME_MS * FRAME_MS;
        let plan = Plan::new(&frames, i64::try_from(loop_ms).unwrap_or(i64::MAX));
        let roster = Roster::new(&frames, &plan, options.pods, options.seed);
        let shift_ms = i128::from(options.start_unix_ms) - i128::from(base_ms);
        Ok(Self {
            frames,
            plan,
            roster,
            start_unix_ms: options.start_unix_ms,
            shift_s: i64::try_from(shift_ms.div_euclid(1000)).unwrap_or(0),
            loop_ms,
            node_name: options.node_name,
        })
    }

    /// How long one loop of the recording lasts, milliseconds; a multiple of 10 s.
    #[must_use]
    pub fn loop_ms(&self) -> u64 {
        self.loop_ms
    }

    /// How many frames the recording has; at least 1.
    #[must_use]
    pub fn frame_count(&self) -> usize {
        self.frames.len()
    }

    /// Where in the recording a moment falls.
    #[must_use]
    pub fn position(&self, unix_ms: u64) -> Position {
        let elapsed_ms = unix_ms.saturating_sub(self.start_unix_ms);
        let loop_index = u32::try_from(elapsed_ms / self.loop_ms).unwrap_or(u32::MAX);
        let within_ms = elapsed_ms % self.loop_ms;
        let begun = self
            .frames
            .partition_point(|frame| frame.offset_ms <= within_ms);
        match (begun.checked_sub(1), loop_index.checked_sub(1)) {
            (Some(frame), _) => Position { loop_index, frame },
            // The second node's first frame comes a little after the loop's beginning.
            (None, Some(loop_index)) => Position {
                loop_index,
                frame: self.frames.len() - 1,
            },
            (None, None) => Position {
                loop_index: 0,
                frame: 0,
            },
        }
    }

    /// Both bodies at a moment.
    #[must_use]
    pub fn at(&self, unix_ms: u64) -> Frame {
        Frame {
            summary: self.summary(unix_ms, None),
            resource: self.resource(unix_ms, None),
        }
    }

    /// The body of `/stats/summary` at a moment. With a marker, the node's memory usage and
    /// working set are that number of bytes.
    #[must_use]
    pub fn summary(&self, unix_ms: u64, marker: Option<u64>) -> Vec<u8> {
        let at = self.position(unix_ms);
        let Some(frame) = self.frames.get(at.frame) else {
            return Vec::new();
        };
        let mut body = frame.summary.clone();
        let mut node = body["node"].take();
        self.pass(at.loop_index, Copy::RECORDED)
            .entity(&mut node, "node", true);
        if let Some(name) = &self.node_name {
            node["nodeName"] = Value::String(name.clone());
        }
        if let (Some(marker), Value::Object(memory)) = (marker, &mut node["memory"]) {
            memory.insert("usageBytes".into(), marker.into());
            memory.insert("workingSetBytes".into(), marker.into());
        }
        body["node"] = node;
        let mut pods = Vec::new();
        for recorded in frame.summary["pods"].as_array().into_iter().flatten() {
            let path = summary::pod_path(recorded);
            for shown in self.roster.shown(&path, at.loop_index) {
                let mut pod = recorded.clone();
                self.pass(at.loop_index, shown.copy).entity(
                    &mut pod,
                    &path,
                    self.plan.lasts(&path),
                );
                roster::rename(&mut pod, &shown);
                pods.push(pod);
            }
        }
        body["pods"] = Value::Array(pods);
        render(&body)
    }

    /// The body of `/metrics/resource` at a moment. With a marker, the node's working set is that
    /// number of bytes.
    #[must_use]
    pub fn resource(&self, unix_ms: u64, marker: Option<u64>) -> Vec<u8> {
        let at = self.position(unix_ms);
        let Some(frame) = self.frames.get(at.frame) else {
            return Vec::new();
        };
        let mut families = Vec::with_capacity(frame.resource.len());
        for family in &frame.resource {
            let mut samples = Vec::with_capacity(family.samples.len());
            for sample in &family.samples {
                self.sample(&family.name, sample, at.loop_index, &mut samples);
            }
            if self.roster.changes_names(at.loop_index) {
                samples.sort_by(|one, other| one.labels.cmp(&other.labels));
            }
            if let (Some(marker), "node_memory_working_set_bytes") = (marker, family.name.as_str())
            {
                for sample in &mut samples {
                    sample.value = marker as f64;
                }
            }
            if !samples.is_empty() {
                families.push(Family {
                    samples,
                    ..family.clone()
                });
            }
        }
        exposition::render(&families).into_bytes()
    }

    fn pass(&self, loop_index: u32, copy: Copy) -> Pass<'_> {
        Pass {
            plan: &self.plan,
            shift_s: self.shift_s,
            loop_s: i64::try_from(self.loop_ms / 1000).unwrap_or(0),
            loop_index,
            copy,
        }
    }

    /// Adds what stands for one recorded line.
    fn sample(&self, family: &str, recorded: &Sample, loop_index: u32, out: &mut Vec<Sample>) {
        if recorded.label("pod").is_empty() {
            let pass = self.pass(loop_index, Copy::RECORDED);
            out.push(line(&pass, family, recorded));
            return;
        }
        let pod = format!(
            "pod:{}/{}",
            recorded.label("namespace"),
            recorded.label("pod")
        );
        for shown in self.roster.shown(&pod, loop_index) {
            let mut sample = line(&self.pass(loop_index, shown.copy), family, recorded);
            sample.set_label("pod", &shown.name);
            out.push(sample);
        }
    }
}

/// Rewrites one line for a loop, a moment and a copy.
fn line(pass: &Pass<'_>, family: &str, recorded: &Sample) -> Sample {
    let lasts = pass.plan.lasts(&growth::entity_of(recorded));
    let mut from = pass.loop_index;
    let mut sample = recorded.clone();
    if lasts
        && from > 0
        && let Some(last) = pass
            .plan
            .last_sample(&growth::sample_path(family, recorded))
        && let (Some(time_ms), Some(last_ms)) = (recorded.time_ms, last.time_ms)
        && time_ms + pass.loop_s * 1000 < last_ms
    {
        sample.clone_from(last);
        from -= 1;
    }
    if let Some(time_ms) = &mut sample.time_ms {
        *time_ms += pass.moved_s(from) * 1000;
    }
    if family.ends_with("_start_time_seconds") {
        let moved_s = pass.moved_s(if lasts { 0 } else { pass.loop_index });
        sample.value += moved_s as f64;
    } else if let Some(path) = growth::counter_of(family, recorded) {
        let nanos = exposition::nanos(sample.value);
        let grown = pass.counter(nanos, &path, if lasts { from } else { 0 });
        sample.value = exposition::seconds(grown);
    } else if family.ends_with("_memory_working_set_bytes") {
        let bytes = format!("{:.0}", sample.value).parse().unwrap_or(0);
        sample.value = pass.copy.pages(bytes) as f64;
    }
    sample
}

fn parse(recorded: &Recorded, number: usize, base_ms: u64) -> Result<Parsed, Error> {
    let shape = |problem: String| Error::Shape { number, problem };
    let text = std::str::from_utf8(&recorded.resource)
        .map_err(|_| shape("the resource body is not UTF-8".into()))?;
    Ok(Parsed {
        offset_ms: recorded.captured_at_ms.saturating_sub(base_ms),
        summary: serde_json::from_slice(&recorded.summary)
            .map_err(|source| Error::Json { number, source })?,
        resource: exposition::parse(text)
            .map_err(|line| shape(format!("cannot read the line {line:?}")))?,
    })
}

/// Writes JSON as the kubelet does: one space of indent.
fn render(body: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 * 1024);
    let mut writer = Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(b" "));
    // Writing a Value into memory cannot fail.
    serde::Serialize::serialize(body, &mut writer).unwrap_or_default();
    out
}
