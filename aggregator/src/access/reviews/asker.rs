//! The task that asks about the namespaces of one reader, a question after the other.
//!
//! Each question has a turn of its reader's and then one of all readers; a few are under way at once. The task ends when
//! nothing is left to be asked, or nobody can say. However it ends, nobody waits for it afterwards.

use std::future::{pending, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

use super::super::answers::Told;
use super::super::metrics::Of;
use super::super::{Attributes, Decision};
use super::budget::Class;
use super::rounds::{AT_ONCE, Asker};
use super::{Inner, Turns};
use crate::cluster::access::Access;

/// How long it is rested when a question found no room.
const REST: Duration = Duration::from_millis(500);

/// How often a place in line is looked at again: what was known well enough when it was taken may be due by now, and
/// what is known well enough waits for as long as others have something that is not.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A question that waits longer than this for a turn among those of all readers is counted as put off: its reader is
/// asked about more slowly for the sake of others.
const PUT_OFF: Duration = super::QUESTION_EVERY;

impl Inner {
    /// Asks about the namespaces of a table, until nothing is to be asked or nobody can say.
    pub(super) async fn ask_round(self: Arc<Self>, mut asker: Asker, access: Access) {
        let round = asker.round();
        let turns = self.turns(&access.user.name);
        let mut asking = FuturesUnordered::new();
        let mut turn = None;
        let mut goes_on = true;
        loop {
            if goes_on
                && asking.len() < AT_ONCE
                && let Some(class) = round.wants()
                && is_before(class, turn.as_ref().map(|(own, _)| *own))
            {
                turn = Some((class, Box::pin(self.turn(&turns, class))));
            }
            tokio::select! {
                biased;
                Some((name, decision)) = asking.next(), if !asking.is_empty() => {
                    let is_busy = decision == Decision::Busy;
                    goes_on = round.answered(&name, decision) && goes_on;
                    if is_busy {
                        sleep(REST).await;
                    }
                    if !goes_on {
                        turn = None;
                    }
                }
                () = come(&mut turn), if turn.is_some() => {
                    turn = None;
                    if let Some(name) = round.next() {
                        let (inner, turns, access) = (&self, &turns, of(&access, &name));
                        asking.push(async move {
                            let asked = inner.ask(turns, &access, Of::Namespace, ready(()));
                            let (Told::Kept(decision) | Told::Passing(decision)) = asked.await;
                            (name, decision)
                        });
                    }
                }
                () = sleep(LOOK_AGAIN), if turn.is_some() => {}
                else => {
                    if asker.is_over() {
                        return;
                    }
                    goes_on = true;
                }
            }
        }
    }

    async fn turn(&self, turns: &Turns, class: Class) {
        // The reader's own first, so that what all readers ask is never closer together than it may be.
        turns.slots.next().await;
        if self.budget.turn(class).await >= PUT_OFF {
            self.metrics.put_off(Of::Namespace);
        }
    }
}

/// True of a question that goes before the one whose turn is waited for, or while none is.
fn is_before(class: Class, own: Option<Class>) -> bool {
    own.is_none_or(|own| class.rank() < own.rank())
}

/// Waits for the turn, if there is one.
async fn come<F: Future<Output = ()>>(turn: &mut Option<(Class, Pin<Box<F>>)>) {
    match turn {
        Some((_, turn)) => turn.await,
        None => pending().await,
    }
}

/// The question about this namespace.
fn of(access: &Access, name: &Arc<str>) -> Access {
    let mut access = access.clone();
    if let Attributes::Resource(what) = &mut access.what {
        what.namespace = name.to_string();
    }
    access
}
