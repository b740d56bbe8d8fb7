//! What an agent tells of the runs before its own.

use super::*;

impl Both {
    /// Remembers the run that ends, if it had a row.
    pub(super) fn end_run(&mut self) {
        if let Some((first, last)) = self.ring.first().zip(self.ring.last()) {
            self.ended.push(EarlierRun {
                run: self.run,
                interval_ms: STEP_MS,
                first_tick_ms: first.tick_ms,
                last_tick_ms: last.tick_ms,
            });
        }
    }

    /// Tells of all of them, in the session that has begun.
    pub(super) fn tell_ended(&self) {
        let (now_ms, sessions) = (self.now_ms, &self.sessions);
        let plain = self.plain.earlier(&sessions.0, &self.ended, now_ms);
        let packed = self.packed.earlier(&sessions.1, &self.ended, now_ms);
        assert_eq!(plain, packed);
    }
}
