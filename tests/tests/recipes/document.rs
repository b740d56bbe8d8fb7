//! The commands of a document: what stands in its fenced blocks of `sh`, section by section.

use std::path::Path;

/// `deploy/README.md`, as it is.
pub(super) struct Document(String);

impl Document {
    pub(super) fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/README.md");
        Self(std::fs::read_to_string(path).unwrap())
    }

    /// The blocks below the one heading with this text, up to the next heading of any level. How many there are is
    /// said by whoever runs them, so that none is left out.
    #[track_caller]
    pub(super) fn blocks<const N: usize>(&self, heading: &str) -> [String; N] {
        let mut blocks: Vec<String> = Vec::new();
        let (mut is_within, mut found) = (false, 0);
        // The language of the block that is open.
        let mut open: Option<&str> = None;
        for line in self.0.lines() {
            if let Some(language) = line.strip_prefix("```") {
                open = open.is_none().then_some(language);
                if is_within && open == Some("sh") {
                    blocks.push(String::new());
                }
            } else if open.is_none() && line.starts_with('#') {
                is_within = line.trim_start_matches('#').trim() == heading;
                found += usize::from(is_within);
            } else if is_within
                && open == Some("sh")
                && let Some(block) = blocks.last_mut()
            {
                block.push_str(line);
                block.push('\n');
            }
        }
        assert_eq!(found, 1, "headings \"{heading}\"");
        let count = blocks.len();
        let Ok(blocks) = blocks.try_into() else {
            panic!("{heading}: {count} blocks of commands, and {N} are run");
        };
        blocks
    }
}

/// The lines of a block that have this remark, and the others.
pub(super) fn apart(block: &str, remark: &str) -> (String, String) {
    let lines = block.split_inclusive('\n');
    lines.partition(|line| line.contains(remark))
}
