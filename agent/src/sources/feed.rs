//! The two ends between the sampler and one source: questions one way, answers the other.
//!
//! Both queues hold one entry, and a question is only asked when the last one was answered, so
//! neither can ever be full: when a source is still at an earlier question it is `busy`.

use std::time::Duration;

use cairn_proto::catalogue::Source;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::{Cost, Failure, Reading, Trigger};

/// One question and one answer at a time: see the module's text.
const QUEUE: usize = 1;

/// What a scrape came to.
#[derive(Debug)]
pub struct Answer<T> {
    /// The reading, or why there is none.
    pub result: Result<Reading<T>, Failure>,
    /// How long the scrape took.
    pub took: Duration,
}

/// What a source did at one tick.
#[derive(Debug)]
pub enum Outcome {
    /// It answered: with the time of its reading (Unix ms), or with a failure. Also an answer to an
    /// earlier tick that came meanwhile.
    Answered(Result<u64, Failure>),
    /// It works on the answer; the row is not held up for it.
    Pending,
    /// It is still at an earlier tick and was not asked.
    Busy,
    /// Its task or thread has ended.
    Gone,
}

/// The sampler's end.
#[derive(Debug)]
pub struct Feed<T> {
    source: Source,
    triggers: mpsc::Sender<Trigger>,
    // With the CPU time of each.
    answers: mpsc::Receiver<(Answer<T>, Duration)>,
    // The tick of the question that is out and not answered yet.
    asked: Option<u64>,
    // That question belongs to a run that ended: its answer counts as none.
    outdated: bool,
    // The last answer came within the wait, so the next one is waited for.
    trusted: bool,
    last: Option<Reading<T>>,
    costs: Vec<Cost>,
}

/// The source's end.
#[derive(Debug)]
pub struct Worker<T> {
    triggers: mpsc::Receiver<Trigger>,
    answers: mpsc::Sender<(Answer<T>, Duration)>,
}

impl<T> Feed<T> {
    /// Makes both ends.
    #[must_use]
    pub fn new(source: Source) -> (Self, Worker<T>) {
        let (triggers, asked) = mpsc::channel(QUEUE);
        let (answer, answers) = mpsc::channel(QUEUE);
        let feed = Self {
            source,
            triggers,
            answers,
            asked: None,
            outdated: false,
            trusted: true,
            last: None,
            costs: Vec::new(),
        };
        (
            feed,
            Worker {
                triggers: asked,
                answers: answer,
            },
        )
    }

    /// Which source it is.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// The newest good reading; `None` until there is one.
    #[must_use]
    pub fn last(&self) -> Option<&Reading<T>> {
        self.last.as_ref()
    }

    /// Forgets the newest reading, and the answer that is under way: their times belong to another
    /// run.
    pub fn forget(&mut self) {
        self.last = None;
        self.outdated = self.asked.is_some();
    }

    /// What the scrapes cost whose answers were taken since the last call: two after a question of
    /// which the answer to the one before came first.
    pub fn take_costs(&mut self) -> Vec<Cost> {
        std::mem::take(&mut self.costs)
    }

    /// Asks for a scrape and waits for it at most for `wait`.
    ///
    /// A source that once took longer is asked and not waited for, until an answer took less: so a
    /// slow source costs the row its wait once and not at every tick. Cancel safe: an answer that
    /// comes later is taken by the next call.
    pub async fn scrape(&mut self, trigger: Trigger, wait: Duration) -> Outcome {
        let mut earlier = None;
        if self.asked.is_some() {
            match self.answers.try_recv() {
                Ok(answer) => earlier = self.accept(answer, wait).map(Outcome::Answered),
                Err(mpsc::error::TryRecvError::Empty) => return Outcome::Busy,
                Err(mpsc::error::TryRecvError::Disconnected) => return Outcome::Gone,
            }
        }
        let tick = trigger.tick;
        if self.triggers.try_send(trigger).is_err() {
            return Outcome::Gone;
        }
        self.asked = Some(tick);
        if !self.trusted {
            return earlier.unwrap_or(Outcome::Pending);
        }
        match timeout_at(Instant::now() + wait, self.answers.recv()).await {
            Ok(Some(answer)) => match self.accept(answer, wait) {
                Some(result) => Outcome::Answered(result),
                None => Outcome::Pending,
            },
            Ok(None) => Outcome::Gone,
            Err(_) => {
                self.trusted = false;
                earlier.unwrap_or(Outcome::Pending)
            }
        }
    }

    /// Takes the answer to an earlier question, at a tick at which nothing is asked; `None` when
    /// there is none yet. A source that has ended is seen here too. `wait` is what a row would wait for it.
    pub fn collect(&mut self, wait: Duration) -> Option<Outcome> {
        if self.asked.is_none() {
            return self.triggers.is_closed().then_some(Outcome::Gone);
        }
        match self.answers.try_recv() {
            Ok(answer) => self.accept(answer, wait).map(Outcome::Answered),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => Some(Outcome::Gone),
        }
    }

    /// Takes an answer; `None` when its question belongs to a run that ended.
    fn accept(
        &mut self,
        (answer, cpu): (Answer<T>, Duration),
        wait: Duration,
    ) -> Option<Result<u64, Failure>> {
        let took = answer.took;
        let tick = self.asked.take();
        self.trusted = took <= wait;
        let taken_ms = answer.result.as_ref().ok().map(|reading| reading.taken_ms);
        let lag = taken_ms
            .zip(tick)
            .map(|(taken_ms, tick)| Duration::from_millis(taken_ms.saturating_sub(tick)));
        self.costs.push(Cost {
            tick,
            took,
            cpu,
            lag,
        });
        if std::mem::take(&mut self.outdated) {
            return None;
        }
        Some(answer.result.map(|reading| {
            let taken_ms = reading.taken_ms;
            self.last = Some(reading);
            taken_ms
        }))
    }
}

impl<T> Worker<T> {
    /// Waits for the next question; `None` when the sampler is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<Trigger> {
        self.triggers.recv().await
    }

    /// Waits for the next question in a thread of its own.
    pub fn blocking_next(&mut self) -> Option<Trigger> {
        self.triggers.blocking_recv()
    }

    /// Answers the last question at no CPU time.
    #[cfg(test)]
    pub(crate) fn answer(&self, answer: Answer<T>) {
        self.answer_at(answer, Duration::ZERO);
    }

    /// Answers the last question, with the CPU time that it took. Does not wait: there is room for one
    /// answer to one question.
    pub fn answer_at(&self, answer: Answer<T>, cpu: Duration) {
        // Without a sampler nobody wants the answer, and the next question will say so.
        drop(self.answers.try_send((answer, cpu)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cairn_runtime::clock::Clock;

    use super::*;
    use crate::sources::FailureKind;

    const WAIT: Duration = Duration::from_secs(2);

    fn trigger(tick: u64) -> Trigger {
        Trigger {
            tick,
            line: Clock::driven(0).line(),
        }
    }

    fn answer(value: u64, took_ms: u64) -> Answer<u64> {
        Answer {
            result: Ok(Reading {
                values: Arc::new(value),
                taken_ms: value,
            }),
            took: Duration::from_millis(took_ms),
        }
    }

    fn value(feed: &Feed<u64>) -> Option<u64> {
        feed.last().map(|reading| *reading.values)
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_source_is_waited_for_once_and_trusted_again_when_it_is_fast() {
        let (mut feed, mut worker) = Feed::new(Source::Summary);
        let began = Instant::now();
        assert!(matches!(
            feed.scrape(trigger(1), WAIT).await,
            Outcome::Pending
        ));
        assert_eq!(began.elapsed(), WAIT);
        assert!(matches!(feed.scrape(trigger(2), WAIT).await, Outcome::Busy));
        assert_eq!(worker.next().await.unwrap().tick, 1);
        worker.answer(answer(1, 3_000));
        // The answer to tick 1 counts at tick 3; tick 2 was never asked, tick 3 is not waited for.
        assert!(matches!(
            feed.scrape(trigger(3), WAIT).await,
            Outcome::Answered(Ok(1))
        ));
        assert_eq!(began.elapsed(), WAIT);
        assert_eq!(value(&feed), Some(1));
        assert_eq!(worker.next().await.unwrap().tick, 3);
        worker.answer(answer(3, 5));
        assert!(matches!(
            feed.scrape(trigger(4), WAIT).await,
            Outcome::Answered(Ok(3))
        ));
        assert_eq!(began.elapsed(), WAIT * 2);
        assert_eq!(feed.take_costs().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_is_taken_without_another_question() {
        let (mut feed, mut worker) = Feed::new(Source::Cadvisor);
        assert!(feed.collect(WAIT).is_none());
        let pending = feed.scrape(trigger(1), WAIT).await;
        assert!(matches!(pending, Outcome::Pending), "{pending:?}");
        worker.next().await.unwrap();
        assert!(feed.collect(WAIT).is_none());
        worker.answer_at(answer(1, 3_000), Duration::from_millis(8));
        let late = feed.collect(WAIT);
        assert!(matches!(late, Some(Outcome::Answered(Ok(1)))), "{late:?}");
        let cost = Cost {
            tick: Some(1),
            took: Duration::from_secs(3),
            cpu: Duration::from_millis(8),
            lag: Some(Duration::ZERO),
        };
        assert_eq!((value(&feed), feed.take_costs()), (Some(1), vec![cost]));
        assert!(feed.collect(WAIT).is_none());
        // Of a run that ended it only makes room for the next question.
        feed.scrape(trigger(2), Duration::ZERO).await;
        feed.forget();
        worker.next().await.unwrap();
        worker.answer(answer(2, 3_000));
        assert!(feed.collect(WAIT).is_none() && feed.last().is_none());
        feed.scrape(trigger(3), Duration::ZERO).await;
        drop(worker);
        assert!(matches!(feed.collect(WAIT), Some(Outcome::Gone)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_ends_is_seen_without_a_question() {
        let (mut feed, mut worker) = Feed::new(Source::Cadvisor);
        assert!(feed.collect(WAIT).is_none());
        feed.scrape(trigger(1), Duration::ZERO).await;
        worker.next().await.unwrap();
        worker.answer(answer(1, 5));
        drop(worker);
        // What it said last is taken before.
        let last = feed.collect(WAIT);
        assert!(matches!(last, Some(Outcome::Answered(Ok(1)))), "{last:?}");
        assert!(matches!(feed.collect(WAIT), Some(Outcome::Gone)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_lags_behind_the_tick_that_it_was_asked_at() {
        let (mut feed, mut worker) = Feed::new(Source::Summary);
        feed.scrape(trigger(10_000), Duration::ZERO).await;
        worker.next().await.unwrap();
        worker.answer(answer(10_700, 9_000));
        // It comes when the next question is asked, whose tick is later than the reading.
        feed.scrape(trigger(20_000), Duration::ZERO).await;
        worker.next().await.unwrap();
        worker.answer(Answer {
            result: Err(Failure::new(FailureKind::Timeout, "not in time")),
            took: WAIT,
        });
        drop(feed.collect(WAIT));
        let lags = feed.take_costs().into_iter().map(|cost| cost.lag);
        let expected = [Some(Duration::from_millis(700)), None];
        assert_eq!(lags.collect::<Vec<_>>(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_run_that_ended_asked_for_is_not_taken() {
        let (mut feed, mut worker) = Feed::new(Source::Summary);
        let pending = feed.scrape(trigger(1), WAIT).await;
        assert!(matches!(pending, Outcome::Pending));
        feed.forget();
        worker.next().await.unwrap();
        worker.answer(answer(1, 3_000));
        // The answer only makes room for the next question.
        let second = feed.scrape(trigger(2), WAIT).await;
        assert!(matches!(second, Outcome::Pending), "{second:?}");
        assert_eq!(value(&feed), None);
        assert_eq!(worker.next().await.unwrap().tick, 2);
        worker.answer(answer(2, 5));
        let third = feed.scrape(trigger(3), WAIT).await;
        assert!(matches!(third, Outcome::Answered(Ok(2))), "{third:?}");
        assert_eq!(value(&feed), Some(2));
        // Nothing was asked meanwhile, so nothing more is dropped.
        worker.next().await.unwrap();
        worker.answer(answer(3, 5));
        feed.forget();
        feed.forget();
        let fourth = feed.scrape(trigger(4), Duration::ZERO).await;
        assert!(matches!(fourth, Outcome::Pending), "{fourth:?}");
        assert_eq!(value(&feed), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_keeps_the_last_good_reading() {
        let (mut feed, mut worker) = Feed::new(Source::Summary);
        let both = async {
            for result in [Ok(7), Err(FailureKind::Parse)] {
                worker.next().await.unwrap();
                let failed = |kind| Failure::new(kind, "not what a kubelet sends");
                let result = result
                    .map(|v| Reading {
                        values: Arc::new(v),
                        taken_ms: v,
                    })
                    .map_err(failed);
                worker.answer(Answer {
                    result,
                    took: Duration::ZERO,
                });
            }
        };
        let asked = async {
            assert!(matches!(
                feed.scrape(trigger(1), WAIT).await,
                Outcome::Answered(Ok(7))
            ));
            let failed = feed.scrape(trigger(2), WAIT).await;
            assert!(matches!(failed, Outcome::Answered(Err(_))));
        };
        tokio::join!(both, asked);
        assert_eq!(value(&feed), Some(7));
        drop(worker);
        assert!(matches!(feed.scrape(trigger(3), WAIT).await, Outcome::Gone));
    }
}
