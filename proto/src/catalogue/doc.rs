//! Writes `docs/metrics.md` from the table.

use std::fmt::Write as _;

use super::table::{AREAS, field as field_of};
use super::{
    EntityKind, Field, Group, HEAPSTER_UPTIME, Kind, Origin, RateUnit, Sum, UPTIME, UPTIME_ENTITIES,
};

/// The text of `docs/metrics.md`.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(
        "# Metrics\n\n\
         Written by `cargo run -p cairn-proto --example metrics-doc`; a test compares it with the\n\
         catalogue (`proto/src/catalogue/table`). Values travel and are kept as integers in the unit\n\
         given here; rates and sums are computed when somebody asks. `GET /api/cairn/v1/values?node=NAME`\n\
         shows them under these names.\n",
    );
    let mut titles: Vec<&str> = Vec::new();
    for (title, _) in AREAS {
        if !titles.contains(&title) {
            titles.push(title);
        }
    }
    for title in titles {
        put(&mut out, format_args!("\n## {title}\n\n"));
        out.push_str(
            "| no. | name | kind | unit | group | entities | sources, best first | Heapster | Heapster rate | Prometheus | sums | says |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|\n",
        );
        let rows = AREAS.iter().filter(|(of, _)| *of == title);
        for field in rows.flat_map(|(_, rows)| rows.iter()) {
            row(&mut out, field);
        }
    }
    known(&mut out);
    uptime(&mut out);
    labeled(&mut out);
    out.push_str(
        "\n## Max-age\n\nA value is held until its measurement is older than the max-age of its group, \
         then it is\nabsent, never 0. Of one entity a group is measured at one time.\n\n\
         | group | max-age |\n|---|---|\n",
    );
    for group in Group::ALL {
        let seconds = group.max_age_ms() / 1000;
        put(
            &mut out,
            format_args!("| {} | {seconds} s |\n", group.as_str()),
        );
    }
    out
}

fn known(out: &mut String) {
    out.push_str(
        "\nNobody measures what the Kubernetes API says, so it has no history: at each tick at which its entity has a \
         row, it is\nwhat is known now. It is absent, never 0, where nothing is set, where no Kubernetes API is \
         watched (`--kubernetes`), and\nwhile the watch does not have the object, or has another one of the name. \
         Requests and limits are those of containers\nand sidecars, as their pod's object says, whether they run yet \
         or not; init containers and overhead are not in them. A\nsum over containers or pods is of those that have a \
         value. Of a node, pods in phase Running count.\n",
    );
}

fn uptime(out: &mut String) {
    let entities: Vec<&str> = UPTIME_ENTITIES.iter().map(|k| k.as_str()).collect();
    put(
        out,
        format_args!(
            "\n## Derived\n\n`{UPTIME}` (Heapster `{HEAPSTER_UPTIME}`) is no value of the table: it is the tick less \
             the start of the life\nthat the summary tells with a measurement, in ms, of {}.\n",
            entities.join(", ")
        ),
    );
}

fn labeled(out: &mut String) {
    out.push_str(
        "\nThe Heapster API shows parts under what they belong to, told apart by these labels:\n\n\
         | entity | labels |\n|---|---|\n",
    );
    for kind in EntityKind::ALL.into_iter().filter(|k| k.is_labeled()) {
        let labels = kind.heapster_labels().join("`, `");
        put(out, format_args!("| {} | `{labels}` |\n", kind.as_str()));
    }
}

fn row(out: &mut String, field: &Field) {
    let entities: Vec<&str> = field.entities.iter().map(|k| k.as_str()).collect();
    let sources = match field.origin {
        Origin::Measured => {
            let sources: Vec<&str> = field.sources.iter().map(|s| s.as_str()).collect();
            sources.join(", ")
        }
        Origin::Cluster => "Kubernetes API".to_owned(),
        Origin::Utilization { usage, allocatable } => {
            let name = |id| field_of(id).map_or("", |field| field.name);
            format!("`{}` / `{}`", name(usage), name(allocatable))
        }
        Origin::Presence => "rows".to_owned(),
    };
    let group = match field.origin {
        Origin::Measured => field.group.as_str(),
        _ => "",
    };
    let kind = match field.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    };
    let rate = match field.heapster_rate {
        Some((name, RateUnit::Millicores)) => format!("`{name}` (millicores)"),
        Some((name, RateUnit::PerSecond)) => format!("`{name}` (per second)"),
        None => String::new(),
    };
    let heapster = field
        .heapster
        .map(|name| format!("`{name}`"))
        .unwrap_or_default();
    let sum = match field.sum {
        Sum::None => "",
        Sum::Pods => "pods to namespace to cluster",
    };
    put(
        out,
        format_args!(
            "| {} | `{}` | {kind} | {} | {} | {} | {} | {heapster} | {rate} | `{}` | {sum} | {} |\n",
            field.id.0,
            field.name,
            field.unit.as_str(),
            group,
            entities.join(", "),
            sources,
            field.prometheus,
            field.help,
        ),
    );
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_document_is_the_catalogues() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            text == super::markdown(),
            "docs/metrics.md is old: cargo run -p cairn-proto --example metrics-doc > docs/metrics.md"
        );
    }
}
