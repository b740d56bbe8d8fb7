//! Texts of cAdvisor that are large for nothing. The only test of its process, whose most memory it
//! measures.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use cairn_agent::sources::cadvisor::{self, Ids, Teller};

/// The length of each text, bytes: the most that is taken of an answer.
const SIZE: usize = 16 << 20;

/// The most memory that reading one may take, its text included, bytes: half of what the agent's
/// container may have.
const MOST: u64 = 48 << 20;

/// The most memory that this process ever had, bytes.
fn peak() -> u64 {
    let me = procfs::process::Process::myself().unwrap();
    me.status().unwrap().vmhwm.unwrap() * 1_024
}

fn line(family: &str, labels: &str) -> String {
    format!("container_{family}{{{labels}}} 1\n")
}

/// The length of a line that nobody sends who is not hostile, bytes.
const LONG: usize = 9 << 20;

/// Texts with one line so long, in the middle and behind the last end of a line: of each what stands around it is
/// taken, and the line is counted once.
fn a_long_line_costs_itself_alone() {
    let good = "container_threads{id=\"/\"} 7\n";
    for (front, more) in [
        ("container_threads{id=\"", "x"),
        ("container_threads{id=\"", "\\n"),
        ("container_threads{", "a=\"b\","),
        ("container_threads{id=\"/a\"} ", "9"),
    ] {
        let long = more.repeat(LONG / more.len());
        // What is good stands before it, or behind it alone.
        for (before, end, behind) in [(good, "\n", ""), (good, "", ""), ("", "\n", good)] {
            let text = [before, front, &long, end, behind].concat();
            for teller in [Teller::Kubelet, Teller::Alone] {
                // Without the good line it would be refused.
                let told = cadvisor::parse_of(text.as_bytes(), teller, Ids::Wanted).unwrap();
                assert_eq!(told.odd_count, 1, "{front}{more} {teller:?}");
            }
            let alone = [front, &long, end].concat();
            let refused = cadvisor::parse(alone.as_bytes(), Ids::Wanted);
            assert_eq!(refused, Err(cadvisor::Error::Nothing), "{front}{more}");
        }
    }
}

/// Scenario: texts as long as any that is taken, each full of one thing that nobody sends who is not
/// hostile, read as a kubelet's and as those of a host without one.
/// Guarantees: reading them never takes more memory than the agent has to spare, where keeping all
/// that 3.5 MB of them name took more than 60 MB.
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
    let free = |n: usize| {
        line(
            "cpu_usage_seconds_total",
            &format!("id=\"/a/{n:0>200}\",name=\"{n:0>253}\""),
        )
    };
    let lines: [(&str, &dyn Fn(usize) -> String); 10] = [
        ("containers outside of pods", &free),
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
    a_long_line_costs_itself_alone();
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
        for teller in [Teller::Kubelet, Teller::Alone] {
            drop(cadvisor::parse_of(text.as_bytes(), teller, Ids::Wanted).unwrap());
        }
        // All of them together, long lines too: what one took is free for the next.
        let taken = peak().saturating_sub(before);
        assert!(taken < MOST, "{what} took {taken} bytes");
    }
}
