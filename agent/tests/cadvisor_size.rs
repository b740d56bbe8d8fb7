//! Texts of cAdvisor that are large for nothing. The only test of its process, whose most memory it
//! measures.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use cairn_agent::sources::cadvisor::{self, Ids};

/// The length of each text, bytes.
const SIZE: usize = 3_500_000;

/// The most memory that reading one may take, its text included, bytes: a quarter of what the
/// agent's container may have.
const MOST: u64 = 24 << 20;

/// The most memory that this process ever had, bytes.
fn peak() -> u64 {
    let me = procfs::process::Process::myself().unwrap();
    me.status().unwrap().vmhwm.unwrap() * 1_024
}

fn line(family: &str, labels: &str) -> String {
    format!("container_{family}{{{labels}}} 1\n")
}

/// Scenario: texts of 3.5 MB, each full of one thing that a kubelet never sends.
/// Guarantees: reading them never takes more memory than the agent has to spare, where keeping all
/// that they name took more than 60 MB.
#[test]
fn a_hostile_text_takes_no_more_memory_than_there_is() {
    let uid = |n: usize| format!("{n:08x}-0000-0000-0000-000000000000");
    let pods = |n: usize| {
        let path = format!("/kubepods/pod{}", uid(n));
        line(
            "threads",
            &format!("id=\"{path}\",namespace=\"a\",pod=\"{n}\""),
        )
    };
    let alone = |n: usize| {
        let path = format!("/kubepods/pod{}/aa", uid(n));
        let names = format!("namespace=\"{n}\",pod=\"{n}\",container=\"{n}\"");
        line("threads", &format!("id=\"{path}\",name=\"aa\",{names}"))
    };
    let crowd = |n: usize| {
        let path = format!("/kubepods/pod{}/{n:x}", uid(0));
        let names = format!("namespace=\"a\",pod=\"b\",container=\"{n}\"");
        line("threads", &format!("id=\"{path}\",name=\"a\",{names}"))
    };
    let short = |n: usize| {
        line(
            "threads",
            &format!("id=\"{n}\",namespace=\"{n}\",pod=\"{n}\""),
        )
    };
    let device = |n: usize| {
        let labels = format!("id=\"{n}\",namespace=\"a\",pod=\"{n}\",device=\"a\"");
        line("fs_reads_total", &labels)
    };
    let devices = |n: usize| {
        let labels = format!("id=\"{}\",namespace=\"a\",pod=\"a\",device=\"{n}\"", n / 64);
        line("fs_reads_total", &labels)
    };
    let beyond = |n: usize| {
        line(
            "fs_reads_total",
            &format!("id=\"a\",namespace=\"a\",pod=\"a\",device=\"{n}\""),
        )
    };
    let long = |n: usize| {
        let labels = format!("id=\"\\\\{n:0>1000}\",namespace=\"{n:0>253}\",pod=\"{n:0>253}\"");
        line("threads", &labels)
    };
    let odd = |_| "container_threads 1\n".to_owned();
    let lines: [(&str, &dyn Fn(usize) -> String); 9] = [
        ("pods", &pods),
        ("pods each in its namespace with a container", &alone),
        ("containers of one pod", &crowd),
        ("pods without a place", &short),
        ("pods with a device each", &device),
        ("pods with 64 devices each", &devices),
        ("devices of one pod", &beyond),
        ("long names", &long),
        ("odd lines", &odd),
    ];
    let before = peak();
    for (what, line) in lines {
        // One that is not hostile, so that it is an answer.
        let mut text = "container_threads{id=\"/\"} 1\n".to_owned();
        text.reserve(SIZE);
        for n in 0.. {
            let more = line(n);
            if text.len() + more.len() > SIZE {
                break;
            }
            text += &more;
        }
        drop(cadvisor::parse(text.as_bytes(), Ids::Wanted).unwrap());
        // All of them together: what one took is free for the next.
        let taken = peak().saturating_sub(before);
        assert!(taken < MOST, "{what} took {taken} bytes");
    }
}
