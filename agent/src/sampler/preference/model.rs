//! The choice of a source against the rule as it is written, applied to everything that was heard.

use cairn_proto::catalogue::{Group, Source};
use proptest::collection::vec;
use proptest::prelude::*;

use super::Preference;

const SOURCES: [Source; 3] = [Source::Cgroup, Source::Resource, Source::Summary];

/// One tick as one source sees it.
#[derive(Clone, Copy, Debug)]
struct Asked {
    tick_ms: u64,
    heard: bool,
    /// True when what was heard before says nothing about this run.
    new_run: bool,
}

/// When the source was last heard in this run, or first asked if it was not.
fn last_good_ms(asked: &[Asked]) -> u64 {
    let run = asked.iter().rposition(|a| a.new_run).unwrap_or(0);
    let run = &asked[run..];
    let good = run.iter().rfind(|a| a.heard);
    good.unwrap_or(&run[0]).tick_ms
}

/// True when the source is given up after these ticks: the last change of mind is looked for from
/// the beginning each time. Only ticks after the change before it count.
fn is_given_up(asked: &[Asked]) -> bool {
    let (mut given_up, mut since) = (false, 0);
    for end in 1..=asked.len() {
        let (all, counted) = (&asked[..end], &asked[since..end]);
        let last_three = counted.len().checked_sub(3).map(|from| &counted[from..]);
        let changed = if given_up {
            last_three.is_some_and(|three| three.iter().all(|a| a.heard))
        } else {
            let age_ms = asked[end - 1].tick_ms - last_good_ms(all);
            age_ms > Group::Cpu.max_age_ms()
                || last_three.is_some_and(|three| three.iter().all(|a| !a.heard))
        };
        if changed {
            (given_up, since) = (!given_up, end);
        }
    }
    given_up
}

/// The best source that is not given up; with none left, the one that was taken last.
fn model(history: &[[Asked; 3]], count: usize) -> Source {
    let best = |ticks: &[[Asked; 3]]| {
        let of = |n: &usize| ticks.iter().map(|tick| tick[*n]).collect::<Vec<Asked>>();
        (0..count)
            .find(|n| !is_given_up(&of(n)))
            .map(|n| SOURCES[n])
    };
    let ends = (0..=history.len()).rev();
    let mut found = ends.filter_map(|end| best(&history[..end]));
    found.next().unwrap_or(SOURCES[0])
}

/// Ticks with what each source said: sources are silent and heard again in stretches.
fn histories() -> impl Strategy<Value = Vec<[Asked; 3]>> {
    let interval = prop::sample::select(vec![1_000_u64, 10_000, 30_000, 60_000]);
    // Nine ticks of 10 s and three of 30 s are as old as a figure may be.
    let distance = prop_oneof![12 => Just(1_u64), 1 => 2_u64..12, 1 => Just(3), 1 => Just(9)];
    let stretch = (
        1_usize..6,
        prop::bool::weighted(0.6),
        distance,
        prop::bool::weighted(0.1),
    );
    let source = || vec(stretch.clone(), 1..8);
    (interval, source(), source(), source()).prop_map(|(interval_ms, a, b, c)| {
        let heard = |stretches: &[(usize, bool, u64, bool)]| {
            let one = |(count, heard, _, _): &(usize, bool, u64, bool)| vec![*heard; *count];
            stretches.iter().flat_map(one).collect::<Vec<bool>>()
        };
        let all = [heard(&a), heard(&b), heard(&c)];
        let length = all.iter().map(Vec::len).min().unwrap_or(0);
        let mut tick_ms = 1_000_000;
        let mut history = Vec::new();
        for n in 0..length {
            // Time passes, and runs begin, as the first source's stretches say.
            let (_, _, distance, new_run) = a[n % a.len()];
            tick_ms += distance * interval_ms;
            history.push([0, 1, 2].map(|source| Asked {
                tick_ms,
                heard: all[source][n],
                new_run,
            }));
        }
        history
    })
}

fn tick(preference: &mut Preference, asked: &[Asked; 3]) -> Source {
    if asked[0].new_run {
        preference.forget_times();
    }
    let heard = |source| {
        SOURCES
            .iter()
            .zip(asked)
            .any(|(s, a)| *s == source && a.heard)
    };
    preference.tick(asked[0].tick_ms, heard)
}

// What fails is printed in its smallest form and becomes a test of its own; a run leaves no file.
proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn the_source_taken_is_the_one_of_the_rule(history in histories(), count in 1_usize..4) {
        let mut preference = Preference::new(&SOURCES[..count]).unwrap();
        prop_assert_eq!(preference.current(), SOURCES[0]);
        for n in 0..history.len() {
            let taken = tick(&mut preference, &history[n]);
            prop_assert_eq!(taken, preference.current());
            prop_assert_eq!(taken, model(&history[..=n], count), "{:#?}", &history[..=n]);
        }
    }

    #[test]
    fn a_source_that_is_never_silent_for_long_is_never_left(
        history in histories(), gaps in vec(any::<bool>(), 60)
    ) {
        let mut preference = Preference::new(&SOURCES).unwrap();
        for (n, asked) in history.into_iter().enumerate() {
            let mut asked = asked;
            // Two silent ticks at most, and none of them far from the one before.
            asked[0].heard = n % 3 == 0 || gaps[n % 60];
            for one in &mut asked {
                one.tick_ms = 1_000_000 + n as u64 * 30_000;
            }
            prop_assert_eq!(tick(&mut preference, &asked), SOURCES[0]);
        }
    }

    #[test]
    fn after_three_ticks_in_which_one_source_alone_was_heard_it_is_taken(
        history in histories(), which in 0_usize..3
    ) {
        let mut preference = Preference::new(&SOURCES).unwrap();
        let mut tick_ms = 0;
        for asked in &history {
            tick(&mut preference, asked);
            tick_ms = asked[0].tick_ms;
        }
        for n in 1..=3 {
            let alone = |source| source == SOURCES[which];
            preference.tick(tick_ms + n * 1_000, alone);
        }
        prop_assert_eq!(preference.current(), SOURCES[which]);
    }
}
