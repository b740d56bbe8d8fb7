//! One piece of the codec's work, for whoever counts its instructions (scripts/check-instructions.sh).
//!
//! `codec-work WORK FILE [TIMES]` reads a chunk, does the work so many times within
//! `work::measured` and prints how many samples it is about each time; for the works that begin
//! with `one_of`, how many columns there are; for `seek`, how many entities, and for `follow` these in
//! each row.

mod few;
mod work;

use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::process::ExitCode;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (work, file, times) = match arguments.as_slice() {
        [work, file] => (work, file, 1),
        [work, file, times] => (work, file, times.parse()?),
        _ => return Ok(usage()),
    };
    let count = match few::run(work)? {
        Some(columns) => Some(columns),
        None => work::run(work, &fs::read(file)?, times)?,
    };
    match count {
        Some(count) => {
            writeln!(io::stdout(), "{count}")?;
            Ok(ExitCode::SUCCESS)
        }
        None => Ok(usage()),
    }
}

fn usage() -> ExitCode {
    let usage = "usage: codec-work WORK FILE [TIMES]\n\
        WORK: encode_row, keyframe, decode_row, block_row, next_row, seal, check, scan, seal_wire, cut,\n\
        join, follow, seek, one_of_few_columns, one_of_many_columns,\n\
        one_of_few_in_a_row, one_of_many_in_a_row\n";
    drop(io::stderr().write_all(usage.as_bytes()));
    ExitCode::from(64)
}
