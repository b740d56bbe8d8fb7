//! `testdata/vectors.json`: every vector decodes to what it says, and those that this encoder wrote
//! are what it writes. `tests/expect/test_wire.py` reads the same file with another decoder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use cairn_proto::codec::chunk::{self, ChunkRow, RowOf};
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::model::{Column, ColumnId, EntityId, Snapshot};
use serde_json::Value;

#[expect(dead_code, reason = "its main prints what is compared here")]
#[path = "../examples/wire-vectors/main.rs"]
mod example;

fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(path).expect("a file of this crate")
}

fn vectors() -> Vec<Value> {
    serde_json::from_str(&text("testdata/vectors.json")).expect("a list of vectors")
}

fn word<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().expect("a text")
}

fn bytes(hex: &str) -> Vec<u8> {
    let pair = |at| {
        hex.get(at..at + 2)
            .and_then(|two| u8::from_str_radix(two, 16).ok())
    };
    let pairs = (0..hex.len()).step_by(2).map(pair);
    pairs.collect::<Option<_>>().expect("hexadecimal")
}

/// A row as a vector tells it.
fn snapshot(told: &Value) -> Snapshot {
    let number = |value: &Value| value.as_u64().expect("a number");
    let id = |value: &Value| u32::try_from(number(value)).expect("an id");
    let list = |value: &Value| value.as_array().cloned().expect("a list");
    let entities: Vec<u32> = list(&told["entities"]).iter().map(id).collect();
    let columns: BTreeMap<u16, Vec<Value>> = told["columns"]
        .as_object()
        .expect("columns by number")
        .iter()
        .map(|(column, cells)| (column.parse().expect("a column"), list(cells)))
        .collect();
    let columns = columns.into_iter().map(|(column, cells)| {
        let place = |cell: &Value| entities.binary_search(&id(&cell[0])).expect("an entity");
        let places: Vec<u32> = cells
            .iter()
            .map(|cell| u32::try_from(place(cell)).expect("a place"))
            .collect();
        let values = cells.iter().map(|cell| number(&cell[1])).collect();
        Column::from_parts(ColumnId(column), places, values).expect("rising cells")
    });
    let columns = columns.collect();
    let entities = entities.into_iter().map(EntityId).collect();
    Snapshot::from_parts(entities, columns).expect("rising columns")
}

/// Each row vector by its name.
fn rows(vectors: &[Value]) -> BTreeMap<&str, (u64, Snapshot)> {
    let rows = vectors.iter().filter(|vector| vector["row"].is_object());
    rows.map(|row| (word(row, "name"), (tick(row), snapshot(&row["row"]))))
        .collect()
}

fn tick(vector: &Value) -> u64 {
    vector["tick"].as_u64().expect("a tick")
}

fn timed((tick_ms, snapshot): &(u64, Snapshot)) -> Timed<'_> {
    Timed {
        tick_ms: *tick_ms,
        snapshot,
    }
}

#[test]
fn every_row_is_what_it_says() {
    let vectors = vectors();
    let rows = rows(&vectors);
    for vector in vectors.iter().filter(|vector| vector["kind"] == "row") {
        let name = word(vector, "name");
        let payload = bytes(word(vector, "hex"));
        let base = vector["base"].as_str().map(|base| timed(&rows[base]));
        let decoded = row::decode(base, tick(vector), &payload);
        if let Some(why) = vector["refused"].as_str() {
            assert_eq!(decoded.unwrap_err().to_string(), why, "{name}");
            continue;
        }
        assert_eq!(decoded.as_ref(), Ok(&rows[name].1), "{name}");
        let written = row::encode(u32::from(payload[0]), base, timed(&rows[name]));
        let is_ours = written == payload;
        assert_eq!(is_ours, vector["canonical"] == true, "{name}: {written:x?}");
    }
}

#[test]
fn every_chunk_is_what_it_says() {
    for vector in vectors().iter().filter(|vector| vector["kind"] == "chunk") {
        let name = word(vector, "name");
        let payload = bytes(word(vector, "hex"));
        let decoded = chunk::decode(&payload);
        if let Some(why) = vector["refused"].as_str() {
            assert_eq!(decoded.unwrap_err().to_string(), why, "{name}");
            assert_eq!(
                chunk::seal(&payload).unwrap_err().to_string(),
                why,
                "{name}"
            );
            continue;
        }
        let told = vector["rows"].as_array().expect("rows").iter();
        let rows: Vec<ChunkRow> = told
            .map(|row| ChunkRow {
                offset: row["offset"].as_u64().expect("an offset"),
                tick: tick(row),
                snapshot: snapshot(row),
            })
            .collect();
        assert_eq!(decoded.as_ref(), Ok(&rows), "{name}");
        let sealed = chunk::seal(&payload).expect("a chunk that was decoded");
        assert_eq!(sealed.rows(), rows, "{name}");
        let borrowed: Vec<RowOf<'_>> = rows.iter().map(example::vector::row_of).collect();
        let written = chunk::encode(u32::from(payload[0]), &borrowed);
        let is_ours = written == payload;
        assert_eq!(is_ours, vector["canonical"] == true, "{name}: {written:x?}");
    }
}

#[test]
fn every_vector_has_a_name_of_its_own() {
    let vectors = vectors();
    let names: BTreeSet<&str> = vectors.iter().map(|vector| word(vector, "name")).collect();
    assert_eq!(names.len(), vectors.len());
}

#[test]
fn the_file_is_what_the_example_prints() {
    let mut vectors = example::vector::Vectors::default();
    example::all(&mut vectors);
    // As values: in which order a map is printed depends on how its crate was built.
    let [printed, file] = [vectors.text(), text("testdata/vectors.json")]
        .map(|text| serde_json::from_str::<Value>(&text).expect("a list of vectors"));
    assert!(
        printed == file,
        "cargo run -p cairn-proto --example wire-vectors > proto/testdata/vectors.json"
    );
}

/// Bytes that a page shows: a fenced block `vector NAME`, comments behind `#`.
fn shown(page: &str) -> Vec<(&str, String)> {
    let blocks = page.split("```vector ").skip(1);
    let blocks = blocks.map(|block| {
        let (name, rest) = block.split_once('\n').expect("a name");
        let (body, _) = rest.split_once("```").expect("the end of a block");
        let code = body
            .lines()
            .map(|line| line.split('#').next().unwrap_or(""));
        let code = code.flat_map(str::split_whitespace);
        (name.trim(), code.collect::<String>())
    });
    blocks.collect()
}

#[test]
fn every_vector_of_the_page_is_in_the_file() {
    let vectors = vectors();
    let page = text("WIRE.md");
    let shown = shown(&page);
    assert!(shown.len() >= 8, "only {} are shown", shown.len());
    for (name, hex) in shown {
        let vector = vectors.iter().find(|vector| vector["name"] == name);
        let vector = vector.unwrap_or_else(|| panic!("{name} is not in the file"));
        assert_eq!(word(vector, "hex"), hex, "{name}");
    }
}
