//! Who writes: the Lease is read, kept, taken and given back.

use serde_json::Value;

use super::super::guard::{self, Judged};
use super::super::lease::{Now, Turn};
use super::super::told::About;
use super::Keeper;
use super::api::Failed;

/// Who holds the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leader {
    /// This replica: it writes.
    Me,
    /// The one of this name.
    Other(String),
    /// Nobody yet: the clock of this replica is off, and another one is to take it.
    Nobody,
    /// Nobody knows.
    Unknown,
}

impl Keeper {
    /// Who writes; what went wrong was told.
    pub(super) async fn leader(&mut self, now: Now) -> Leader {
        self.server_s = None;
        match self.turn(now).await {
            Ok(leader) => {
                self.told.well(About::Lease);
                leader
            }
            // Another replica was quicker.
            Err(failed) if failed.is_conflict() => Leader::Unknown,
            Err(failed) => {
                self.wrong(About::Lease, &failed);
                Leader::Unknown
            }
        }
    }

    async fn turn(&mut self, now: Now) -> Result<Leader, Failed> {
        let (object, server_s) = self.objects.lease().await?;
        self.server_s = server_s;
        let may_hold = !self.is_off(now);
        match self.lease.turn(&object, now, may_hold) {
            Turn::Ours => Ok(Leader::Me),
            Turn::Theirs(holder) => Ok(Leader::Other(holder)),
            Turn::Free => Ok(Leader::Nobody),
            Turn::GiveBack(object) => self.hand_over(&object, now).await,
            Turn::Write(object) => {
                let object = self.objects.put_lease(&object).await?;
                self.lease.written(&object, now.line_s);
                // Where its answers have no date, this is the first that is heard of its time.
                self.server_s = server_s.or_else(|| guard::written(&object));
                match self.lease.given_back(&object) {
                    Some(object) if self.is_off(now) => self.hand_over(&object, now).await,
                    _ => Ok(Leader::Me),
                }
            }
        }
    }

    fn is_off(&mut self, now: Now) -> bool {
        matches!(self.guard.judge(now, self.server_s), Judged::Off(_))
    }

    /// Leaves writing to a replica whose clock is right. Where that cannot be written, the Lease is not renewed
    /// either, and is free after a minute.
    async fn hand_over(&mut self, object: &Value, now: Now) -> Result<Leader, Failed> {
        let object = self.objects.put_lease(object).await?;
        self.lease.written(&object, now.line_s);
        self.metrics.gave_back();
        if self.told.is_due(About::Lease, "given-back") {
            tracing::warn!(
                holder = self.lease.me(),
                "the Lease was given back, since the clock of this replica is off: one whose clock is right takes it"
            );
        }
        Ok(Leader::Nobody)
    }

    /// Gives the Lease back for a process that goes.
    pub(super) async fn goes(&mut self) {
        let Ok((object, _)) = self.objects.lease().await else {
            return;
        };
        if let Some(object) = self.lease.given_back(&object) {
            // Who does not hear of it waits a minute.
            drop(self.objects.put_lease(&object).await);
            tracing::info!(holder = self.lease.me(), "the Lease was given back");
        }
    }
}
