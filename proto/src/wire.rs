//! Between the wire's messages and the inner types.
//!
//! Whatever comes in is checked here, once: after it, a name is a name and a run is a run.

use crate::limits;
use crate::model::{self, EntityDef, EntityId, EntityKind};
use crate::v1;

/// What is wrong with a message. Every variant is the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A message without the part that it is about.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Over a limit of [`limits`].
    #[error("{0} is over the limit")]
    Limit(&'static str),
    /// A run whose boot id is not 16 bytes.
    #[error("boot id is not 16 bytes")]
    BootId,
    /// An entity of a kind that this version does not know.
    #[error("entity kind {0} is not known")]
    Kind(i32),
    /// Ticks of a run that no agent can have had.
    #[error("ticks of a run are out of order, or not on the grid of its interval")]
    Ticks,
    /// A name that breaks a rule of [`model::check_name`].
    #[error("{what}: {why}")]
    Name {
        /// Which of the entity's names.
        what: &'static str,
        /// The rule.
        why: model::NameError,
    },
}

impl Error {
    /// True when only the entity is refused and the session goes on: its name or kind is not one
    /// that this version takes. Everything else ends the session.
    #[must_use]
    pub fn refuses_entity(&self) -> bool {
        matches!(self, Error::Name { .. } | Error::Kind(_))
    }
}

impl From<&model::Run> for v1::Run {
    fn from(run: &model::Run) -> Self {
        v1::Run {
            boot_id: run.boot_id.to_vec(),
            epoch_ms: run.epoch_ms,
            clock_stepped: run.clock_stepped,
        }
    }
}

/// Reads a run.
///
/// # Errors
///
/// [`Error::Missing`], [`Error::BootId`].
pub fn run(run: Option<&v1::Run>) -> Result<model::Run, Error> {
    let run = run.ok_or(Error::Missing("run"))?;
    let boot_id = <[u8; 16]>::try_from(run.boot_id.as_slice()).map_err(|_| Error::BootId)?;
    Ok(model::Run {
        epoch_ms: run.epoch_ms,
        boot_id,
        clock_stepped: run.clock_stepped,
    })
}

impl From<&model::EarlierRun> for v1::EarlierRun {
    fn from(earlier: &model::EarlierRun) -> Self {
        v1::EarlierRun {
            run: Some((&earlier.run).into()),
            interval_ms: earlier.interval_ms,
            first_tick: earlier.first_tick_ms,
            last_tick: earlier.last_tick_ms,
        }
    }
}

/// Reads a run that ended.
///
/// # Errors
///
/// Those of [`run`], and [`Error::Ticks`].
pub fn earlier_run(earlier: &v1::EarlierRun) -> Result<model::EarlierRun, Error> {
    let read = model::EarlierRun {
        run: run(earlier.run.as_ref())?,
        interval_ms: earlier.interval_ms,
        first_tick_ms: earlier.first_tick,
        last_tick_ms: earlier.last_tick,
    };
    if read.is_possible() {
        Ok(read)
    } else {
        Err(Error::Ticks)
    }
}

impl From<&EntityDef> for v1::Define {
    fn from(def: &EntityDef) -> Self {
        v1::Define {
            id: def.id.0,
            kind: i32::from(def.kind as u8),
            parent: def.parent.map_or(0, |p| p.0),
            name: def.name.clone(),
            namespace: def.namespace.clone(),
            uid: def.uid.clone(),
            runtime_id: def.runtime_id.clone(),
            labels: def.labels.iter().cloned().collect(),
        }
    }
}

/// Reads a definition and checks its names.
///
/// # Errors
///
/// See [`Error::refuses_entity`] for which of them end the session.
pub fn define(define: v1::Define) -> Result<EntityDef, Error> {
    let labels_len: usize = define.labels.iter().map(|(k, v)| k.len() + v.len()).sum();
    let strings = [
        &define.name,
        &define.namespace,
        &define.uid,
        &define.runtime_id,
    ];
    let len = strings.iter().map(|s| s.len()).sum::<usize>() + labels_len;
    if len > limits::MAX_DEFINE_BYTES {
        return Err(Error::Limit("length of the strings of a definition"));
    }
    if define.labels.len() > limits::MAX_LABELS {
        return Err(Error::Limit("number of labels of a definition"));
    }
    if define.id == 0 {
        return Err(Error::Missing("entity id"));
    }
    let kind = EntityKind::ALL
        .into_iter()
        .find(|k| i32::from(*k as u8) == define.kind);
    let kind = kind.ok_or(Error::Kind(define.kind))?;
    let name = |what, kind, text: &str| {
        model::check_name(kind, text).map_err(|why| Error::Name { what, why })
    };
    name("name", kind, &define.name)?;
    if kind == EntityKind::Pod {
        name("namespace", EntityKind::Pod, &define.namespace)?;
        name("uid", EntityKind::Pod, &define.uid)?;
    }
    for text in [&define.runtime_id].into_iter().filter(|s| !s.is_empty()) {
        name("runtime id", EntityKind::Resource, text)?;
    }
    let mut labels: Vec<(String, String)> = define.labels.into_iter().collect();
    labels.sort_unstable();
    for (key, value) in &labels {
        name("label", EntityKind::Resource, key)?;
        if !value.is_empty() {
            name("label value", EntityKind::Resource, value)?;
        }
    }
    Ok(EntityDef {
        id: EntityId(define.id),
        kind,
        parent: (define.parent != 0).then_some(EntityId(define.parent)),
        name: define.name,
        namespace: define.namespace,
        uid: define.uid,
        runtime_id: define.runtime_id,
        labels,
    })
}

/// Cuts free text to [`limits::MAX_TEXT_BYTES`] at a character's border.
#[must_use]
pub fn cut(mut text: String) -> String {
    if text.len() > limits::MAX_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(limits::MAX_TEXT_BYTES));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> EntityDef {
        EntityDef {
            id: EntityId(7),
            kind: EntityKind::Pod,
            parent: Some(EntityId(1)),
            name: "web-1".into(),
            namespace: "shop".into(),
            uid: "117a9601-bda9-419d-88d9-8377748dd9d6".into(),
            runtime_id: String::new(),
            labels: vec![("app".into(), "web".into())],
        }
    }

    #[test]
    fn a_definition_comes_back_as_it_was() {
        assert_eq!(define(v1::Define::from(&pod())), Ok(pod()));
    }

    #[test]
    fn a_hostile_name_refuses_the_entity_and_not_the_session() {
        for bad in ["", "a b", "a\u{202e}b", "../x", "x\n"] {
            let err = define(v1::Define::from(&EntityDef {
                name: bad.into(),
                ..pod()
            }));
            assert!(err.unwrap_err().refuses_entity(), "{bad:?}");
        }
        let long = EntityDef {
            runtime_id: "x".repeat(600),
            ..pod()
        };
        assert!(
            !define(v1::Define::from(&long))
                .unwrap_err()
                .refuses_entity()
        );
    }

    fn earlier() -> model::EarlierRun {
        model::EarlierRun {
            run: model::Run {
                epoch_ms: 99_500,
                boot_id: [4; 16],
                clock_stepped: true,
            },
            interval_ms: 10_000,
            first_tick_ms: 100_000,
            last_tick_ms: 160_000,
        }
    }

    #[test]
    fn a_run_that_ended_comes_back_as_it_was_and_has_ticks_that_can_be() {
        assert_eq!(earlier_run(&(&earlier()).into()), Ok(earlier()));
        let impossible = |change: fn(&mut v1::EarlierRun)| {
            let mut told = v1::EarlierRun::from(&earlier());
            change(&mut told);
            earlier_run(&told).unwrap_err()
        };
        assert_eq!(impossible(|told| told.run = None), Error::Missing("run"));
        for change in [
            (|told| told.interval_ms = 0) as fn(&mut v1::EarlierRun),
            |told| told.interval_ms = 3_000,
            |told| told.interval_ms = u64::MAX,
            |told| told.first_tick += 1,
            |told| told.last_tick += 1,
            |told| told.first_tick = 170_000,
        ] {
            assert_eq!(impossible(change), Error::Ticks);
        }
    }

    /// What a version that knows nothing of earlier runs reads of `Hello`.
    #[derive(Clone, PartialEq, prost::Message)]
    struct HelloBefore {
        #[prost(string, tag = "1")]
        node: String,
        #[prost(uint64, tag = "12")]
        dropped_rows: u64,
    }

    #[test]
    fn who_does_not_know_earlier_runs_reads_the_rest() {
        use prost::Message as _;
        let hello = v1::Hello {
            node: "node1".to_owned(),
            dropped_rows: 7,
            earlier_runs: vec![(&earlier()).into()],
            ..v1::Hello::default()
        };
        let before = HelloBefore::decode(hello.encode_to_vec().as_slice()).unwrap();
        assert_eq!((&*before.node, before.dropped_rows), ("node1", 7));
        let back = v1::Hello::decode(before.encode_to_vec().as_slice()).unwrap();
        assert_eq!(back.earlier_runs, []);
    }

    #[test]
    fn a_run_needs_its_boot_id() {
        assert_eq!(run(None), Err(Error::Missing("run")));
        assert_eq!(run(Some(&v1::Run::default())), Err(Error::BootId));
    }
}
