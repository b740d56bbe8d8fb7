//! Makes the rows, tick by tick, and shows them to the sessions.

use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::clock::Waiter;
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::{self, TaskError};
use tokio::time::Instant;

use super::shared::Shared;
use super::tally;
use super::template::{Made, Maker};

/// How long a driven tick waits for the sessions to take its row; beyond it goes on, and is counted.
const TAKEN_DEADLINE: Duration = Duration::from_secs(20);

/// The loop that makes rows.
#[derive(Debug)]
pub(super) struct Ticker {
    shared: Arc<Shared>,
    makers: Vec<Maker>,
    waiter: Waiter,
    // The number of the next row.
    rows: u64,
}

impl Ticker {
    /// One for these makers, one for each template. The waiter must be as old as the grid, so that
    /// no step of a driven clock passes it by.
    pub(super) fn new(shared: Arc<Shared>, makers: Vec<Maker>, waiter: Waiter) -> Self {
        Self {
            shared,
            makers,
            waiter,
            rows: 0,
        }
    }

    /// Makes the rows of the past at once.
    pub(super) async fn fill(&mut self, history: u64, token: &Token) -> Result<(), TaskError> {
        while self.rows < history && !token.is_cancelled() {
            let made = self.make().await?;
            self.show(made);
        }
        Ok(())
    }

    /// Makes the row of each tick when it is due, until the token is cancelled.
    pub(super) async fn run(mut self, token: Token) -> Result<(), TaskError> {
        // The next row is made while nobody waits for it, so that it is there in time.
        let mut made = self.make().await?;
        loop {
            let mut due_ms = self.shared.grid.tick_ms(self.rows);
            if self.shared.clock.is_driven() {
                due_ms += self.shared.most_phase_ms();
            }
            tokio::select! {
                biased;
                () = token.cancelled() => return Ok(()),
                () = self.waiter.until(due_ms) => {}
            }
            self.show(std::mem::take(&mut made));
            if self.shared.clock.is_driven() && !self.shared.turnstile.clear(TAKEN_DEADLINE).await {
                tally::add(&self.shared.tally.late_steps, 1);
            }
            made = self.make().await?;
        }
    }

    /// Makes the next row of every template, on a thread that no session needs.
    async fn make(&mut self) -> Result<Vec<Made>, TaskError> {
        let mut makers = std::mem::take(&mut self.makers);
        let work = move || {
            let made: Result<Vec<Made>, _> = makers.iter_mut().map(Maker::make).collect();
            (makers, made)
        };
        let (makers, made) = tasks::blocking("rows", work).await?;
        self.makers = makers;
        Ok(made?)
    }

    fn show(&mut self, made: Vec<Made>) {
        for (template, made) in self.shared.templates.iter().zip(made) {
            template.push(made);
        }
        self.rows += 1;
        let rows = self.rows;
        self.shared.turnstile.open(rows);
        self.shared.pulse.send_modify(|pulse| {
            pulse.rows = rows;
            pulse.made_at = Instant::now();
        });
    }
}
