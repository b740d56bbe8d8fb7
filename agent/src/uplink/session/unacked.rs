//! One session's part of a gauge over all sessions.

use prometheus_client::metrics::gauge::Gauge;

/// What one session adds to the gauge of unacknowledged rows, until it is dropped, however it ends.
#[derive(Debug)]
pub(super) struct Unacked {
    gauge: Gauge,
    rows: i64,
}

impl Unacked {
    pub(super) fn new(gauge: Gauge) -> Self {
        Self { gauge, rows: 0 }
    }

    pub(super) fn set(&mut self, rows: i64) {
        self.gauge.inc_by(rows - self.rows);
        self.rows = rows;
    }
}

impl Drop for Unacked {
    fn drop(&mut self) {
        self.gauge.dec_by(self.rows);
    }
}
