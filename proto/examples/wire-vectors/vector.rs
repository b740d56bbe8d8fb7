//! What a vector is, and how it is written down.

use std::collections::BTreeMap;

use cairn_proto::codec::Error;
use cairn_proto::codec::chunk::{self, ChunkRow, RowOf};
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::model::{Column, ColumnId, EntityId, Snapshot};
use serde_json::{Map, Value, json};

/// Grid time of the first row of every story, Unix ms.
pub(crate) const T0: u64 = 1_795_332_330_000;

/// Cells of a column, by entity.
pub(crate) type Cells<'a> = &'a [(u32, u64)];

/// A row of these entities and columns, both rising.
///
/// # Panics
///
/// They do not rise, or a cell is of no entity.
pub(crate) fn snapshot(entities: &[u32], columns: &[(u16, Cells<'_>)]) -> Snapshot {
    let place = |id: u32| {
        let place = entities.iter().position(|one| *one == id);
        u32::try_from(place.expect("an entity of the row")).expect("few entities")
    };
    let columns = columns.iter().map(|(id, cells)| {
        let places: Vec<u32> = cells.iter().map(|(id, _)| place(*id)).collect();
        let values = cells.iter().map(|(_, value)| *value).collect();
        Column::from_parts(ColumnId(*id), places, values).expect("rising cells")
    });
    let entities = entities.iter().copied().map(EntityId).collect();
    Snapshot::from_parts(entities, columns.collect()).expect("rising columns")
}

/// The vectors so far, and the rows that later ones may refer to.
#[derive(Default)]
pub(crate) struct Vectors {
    all: Vec<Map<String, Value>>,
    rows: BTreeMap<String, (u64, Snapshot)>,
}

impl Vectors {
    /// A row of this tick, as this encoder writes it. `base` names the row that it refers to.
    pub(crate) fn row(&mut self, name: &str, codec: u32, base: Option<&str>, row: (u64, Snapshot)) {
        let (tick_ms, snapshot) = &row;
        let now = Timed {
            tick_ms: *tick_ms,
            snapshot,
        };
        let bytes = row::encode(codec, self.base(base), now);
        self.add_row(name, base, row, (&bytes, true));
    }

    /// The same for bytes that this encoder would not write.
    pub(crate) fn row_by_hand(
        &mut self,
        name: &str,
        base: Option<&str>,
        bytes: &[u8],
        row: (u64, Snapshot),
    ) {
        self.add_row(name, base, row, (bytes, false));
    }

    fn add_row(
        &mut self,
        name: &str,
        base: Option<&str>,
        row: (u64, Snapshot),
        (bytes, canonical): (&[u8], bool),
    ) {
        let mut vector = begun("row", name, bytes);
        vector.insert("base".into(), json!(base));
        vector.insert("canonical".into(), json!(canonical));
        vector.insert("row".into(), content(&row.1));
        vector.insert("tick".into(), json!(row.0));
        self.all.push(vector);
        self.rows.insert(name.to_owned(), row);
    }

    /// A chunk, as this encoder writes it.
    pub(crate) fn chunk(&mut self, name: &str, codec: u32, rows: &[ChunkRow]) {
        let borrowed: Vec<RowOf<'_>> = rows.iter().map(row_of).collect();
        let bytes = chunk::encode(codec, &borrowed);
        self.add_chunk(name, &bytes, rows, true);
    }

    /// A chunk that this encoder would write otherwise.
    pub(crate) fn chunk_by_hand(&mut self, name: &str, bytes: &[u8], rows: &[ChunkRow]) {
        self.add_chunk(name, bytes, rows, false);
    }

    fn add_chunk(&mut self, name: &str, bytes: &[u8], rows: &[ChunkRow], canonical: bool) {
        let mut vector = begun("chunk", name, bytes);
        vector.insert("canonical".into(), json!(canonical));
        let rows = rows.iter().map(|row| {
            let mut content = content(&row.snapshot);
            content["offset"] = json!(row.offset);
            content["tick"] = json!(row.tick);
            content
        });
        vector.insert("rows".into(), rows.collect());
        self.all.push(vector);
    }

    /// A row that must be refused, 10 s after `base`.
    pub(crate) fn refused_row(&mut self, name: &str, base: Option<&str>, bytes: &[u8], why: Error) {
        let tick = self.base(base).map_or(T0, |base| base.tick_ms + 10_000);
        let mut vector = begun("row", name, bytes);
        vector.insert("base".into(), json!(base));
        vector.insert("refused".into(), json!(why.to_string()));
        vector.insert("tick".into(), json!(tick));
        self.all.push(vector);
    }

    /// A chunk that must be refused.
    pub(crate) fn refused_chunk(&mut self, name: &str, bytes: &[u8], why: Error) {
        let mut vector = begun("chunk", name, bytes);
        vector.insert("refused".into(), json!(why.to_string()));
        self.all.push(vector);
    }

    /// The last payload with a bit turned over, and what this decoder says of it.
    pub(crate) fn damaged(&mut self, name: &str, bit: u64) {
        let Some(last) = self.all.last() else { return };
        let hex = last["hex"].as_str().unwrap_or_default();
        let digits = hex.as_bytes().chunks(2);
        let mut bytes: Vec<u8> = digits
            .filter_map(|two| u8::from_str_radix(str::from_utf8(two).ok()?, 16).ok())
            .collect();
        let at = bit / 8 % bytes.len() as u64;
        if let Some(byte) = usize::try_from(at).ok().and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1 << (bit % 8);
        }
        if last["kind"] == "chunk" {
            match chunk::decode(&bytes) {
                Ok(rows) => self.add_chunk(name, &bytes, &rows, false),
                Err(why) => self.refused_chunk(name, &bytes, why),
            }
            return;
        }
        let base = last["base"].as_str().map(str::to_owned);
        let tick = last["tick"].as_u64().unwrap_or_default();
        match row::decode(self.base(base.as_deref()), tick, &bytes) {
            Ok(row) => self.add_row(name, base.as_deref(), (tick, row), (&bytes, false)),
            Err(why) => {
                self.refused_row(name, base.as_deref(), &bytes, why);
                // A later row than the next one, when rows were passed over.
                if let Some(vector) = self.all.last_mut() {
                    vector.insert("tick".into(), json!(tick));
                }
            }
        }
    }

    fn base(&self, name: Option<&str>) -> Option<Timed<'_>> {
        let (tick_ms, snapshot) = self.rows.get(name?).expect("an earlier row");
        Some(Timed {
            tick_ms: *tick_ms,
            snapshot,
        })
    }

    /// All of them as JSON, one a line, their keys sorted.
    pub(crate) fn text(&self) -> String {
        let lines = self.all.iter().map(|vector| {
            let sorted: BTreeMap<_, _> = vector.iter().collect();
            serde_json::to_string(&sorted).expect("JSON of maps, lists and numbers")
        });
        format!("[\n{}\n]\n", lines.collect::<Vec<_>>().join(",\n"))
    }
}

fn begun(kind: &str, name: &str, bytes: &[u8]) -> Map<String, Value> {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut vector = Map::new();
    vector.insert("hex".into(), json!(hex.concat()));
    vector.insert("kind".into(), json!(kind));
    vector.insert("name".into(), json!(name));
    vector
}

/// `{"columns": {"64": [[entity, value], ...]}, "entities": [...]}`.
fn content(snapshot: &Snapshot) -> Value {
    let entities: Vec<u32> = snapshot.entities().iter().map(|id| id.0).collect();
    let mut columns = Map::new();
    for column in snapshot.columns() {
        let cells = column.cells().map(|(place, value)| {
            let entity = entities.get(place as usize);
            json!([entity, value])
        });
        columns.insert(column.id().0.to_string(), cells.collect());
    }
    let mut content = Map::new();
    content.insert("columns".into(), columns.into());
    content.insert("entities".into(), json!(entities));
    content.into()
}

pub(crate) fn row_of(row: &ChunkRow) -> RowOf<'_> {
    RowOf {
        offset: row.offset,
        tick: row.tick,
        snapshot: &row.snapshot,
    }
}
