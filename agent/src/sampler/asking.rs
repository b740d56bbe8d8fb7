//! Asks aggregators for the names of who is there.

use std::time::Duration;

use tokio::time::Instant;

use super::Sampler;
use super::roster::{Odd, Roster};
use crate::names::Names;

/// The names that are asked for, and how that went.
#[derive(Debug)]
pub(super) struct Asking {
    names: Names,
    // The session that came last when somebody was asked last.
    newest_session: Option<u64>,
    // The last answer came within the wait, so the next one is waited for.
    trusted: bool,
}

impl Sampler {
    /// Lets aggregators be asked for names; without this nobody is.
    #[must_use]
    pub fn with_names(mut self, names: Names) -> Self {
        self.asking = Some(Asking {
            names,
            newest_session: None,
            trusted: true,
        });
        self
    }
}

/// Takes what was told since the last tick, and asks for those of this one who have no name. Their answers
/// are waited for at most for `wait`, and not after one that took longer. Cancel safe.
pub(super) async fn ask(
    asking: Option<&mut Asking>,
    roster: &mut Roster,
    tick: u64,
    wait: Duration,
) {
    let Some(asking) = asking else { return };
    asking.take(roster, wait);
    let until = Instant::now() + wait;
    while let Some(newest) = asking.names.newest_session() {
        if asking.newest_session != Some(newest) {
            asking.newest_session = Some(newest);
            roster.ask_anew();
        }
        let Some(question) = roster.ask(tick) else {
            return;
        };
        if !asking.names.ask(question) || !asking.trusted {
            return;
        }
        asking.trusted = asking.names.answered(until).await;
        asking.take(roster, wait);
    }
}

impl Asking {
    fn take(&mut self, roster: &mut Roster, wait: Duration) {
        let Some(told) = self.names.take() else {
            return;
        };
        self.trusted = told.took <= wait;
        let Odd { misplaced, doubled } = roster.learn_told(&told);
        self.names.count("misplaced", misplaced);
        self.names.count("doubled", doubled);
        if misplaced > 0 && told.is_whole() {
            // It said all that it knows, and not all of that is so.
            self.names.pass_turn();
        }
    }
}

#[cfg(test)]
mod tests {
    use cairn_proto::v1;

    use super::*;
    use crate::metrics::Names as Metrics;
    use crate::names::Seat;
    use crate::sources::cgroup::{Cgroups, Container, Pod, Stat};

    const WAIT: Duration = Duration::from_millis(250);
    const LATER: Duration = Duration::from_millis(1);

    fn asking() -> (Asking, Names) {
        let names = Names::new(Metrics::default());
        let asking = Asking {
            names: names.clone(),
            newest_session: None,
            trusted: true,
        };
        (asking, names)
    }

    /// A pod with so many containers, seen at a tick.
    fn there(roster: &mut Roster, tick: u64, count: usize) {
        let container = |n| Container {
            id: format!("id{n}").into(),
            stat: Stat::default(),
        };
        let pod = Pod {
            uid: "uid".into(),
            own: Stat::default(),
            containers: (0..count).map(container).collect(),
        };
        let cgroups = Cgroups {
            pods: vec![pod],
            ..Cgroups::default()
        };
        roster.see(tick, &cgroups);
    }

    fn named(roster: &Roster, count: usize) -> usize {
        let ids = (0..count).map(|n| format!("id{n}"));
        ids.filter(|id| roster.is_named(id)).count()
    }

    /// Answers a question with everything.
    fn answer(seat: &mut Seat) {
        let Some(asked) = seat.question() else { return };
        let containers = asked.runtime_ids.into_iter();
        let containers = containers.map(|id| v1::names::Container {
            container: format!("of-{id}"),
            pod_uid: "uid".to_owned(),
            runtime_id: id,
        });
        assert!(seat.answer(v1::Names {
            containers: containers.collect(),
            ..v1::Names::default()
        }));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_told_in_time_has_a_name_at_the_same_tick() {
        let (mut asking, names) = asking();
        let mut roster = Roster::default();
        there(&mut roster, 1_000, 600);
        let mut seat = names.enrol();
        let answering = async {
            loop {
                seat.asked().await;
                answer(&mut seat);
            }
        };
        tokio::select! {
            () = ask(Some(&mut asking), &mut roster, 1_000, WAIT) => {}
            () = answering => {}
        }
        assert_eq!(named(&roster, 600), 600);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_long_is_waited_for_once_and_its_answer_is_taken_later() {
        let (mut asking, names) = asking();
        let mut roster = Roster::default();
        let began = Instant::now();
        there(&mut roster, 1_000, 2);
        // Nobody can be asked, so nobody is waited for.
        ask(Some(&mut asking), &mut roster, 1_000, WAIT).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        let mut seat = names.enrol();
        ask(Some(&mut asking), &mut roster, 1_000, WAIT).await;
        assert_eq!(began.elapsed(), WAIT);
        tokio::time::advance(LATER).await;
        answer(&mut seat);
        there(&mut roster, 2_000, 3);
        ask(Some(&mut asking), &mut roster, 2_000, WAIT).await;
        assert_eq!((named(&roster, 3), began.elapsed()), (2, WAIT + LATER));
        // This one is in time.
        answer(&mut seat);
        there(&mut roster, 3_000, 4);
        ask(Some(&mut asking), &mut roster, 3_000, WAIT).await;
        let waited = 2 * WAIT + LATER;
        assert_eq!((named(&roster, 4), began.elapsed()), (3, waited));
    }

    #[tokio::test(start_paused = true)]
    async fn whose_word_is_of_no_use_gives_the_turn_to_another() {
        let (mut asking, names) = asking();
        let mut roster = Roster::default();
        let mut seats = [names.enrol(), names.enrol()];
        let mut asked = Vec::new();
        for tick in [1_000, 2_000, 3_000] {
            there(&mut roster, tick, 1);
            ask(Some(&mut asking), &mut roster, tick, Duration::ZERO).await;
            let found = seats.iter_mut().enumerate();
            let mut found = found.filter_map(|(at, seat)| Some((at, seat.question()?, seat)));
            let (at, question, seat) = found.next().unwrap();
            asked.push(at);
            // Everybody is named, and in another pod than where it is.
            let containers = question.runtime_ids.into_iter();
            let containers = containers.map(|id| v1::names::Container {
                container: "app".to_owned(),
                pod_uid: "another".to_owned(),
                runtime_id: id,
            });
            let pods = question.pod_uids.into_iter();
            let pods = pods.map(|uid| v1::names::Pod {
                namespace: "shop".to_owned(),
                name: "web".to_owned(),
                uid,
            });
            let (pods, containers) = (pods.collect(), containers.collect());
            assert!(seat.answer(v1::Names { pods, containers }));
        }
        assert_eq!(asked, [0, 1, 0]);
    }
}
