//! One exchange, from the asking side.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cairn_proto::model::{EntityKind, check_name};
use cairn_proto::v1::replay_frame::Kind as Frame;
use cairn_proto::v1::replay_request::Kind as Ask;
use cairn_proto::{codec, v1, wire};
use cairn_runtime::logging;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use super::Inner;
use super::connect::{Link, authorization};
use super::end::{Done, Failure, Kind};
use super::held;
use super::ready::Hold;
use super::taking::{Taking, Took};
use crate::ingest::{MAX_NODES, Wish, Wishes};
use crate::pressure::{Level, Pressure};

/// Nodes asked for at once: the next answer begins when the one before ends, and no node waits
/// behind many.
const AT_ONCE: usize = 2;

/// Time from `PeerHello` to the end of the list of nodes.
const LIST_DEADLINE: Duration = Duration::from_secs(15);

/// Time for all that a peer has of a node. A window of a large node is some megabytes.
const NODE_DEADLINE: Duration = Duration::from_secs(30);

/// How long agents may take to connect before their nodes are asked for like those that no agent
/// reports: streaming resumes within five seconds.
const SETTLED_AFTER: Duration = Duration::from_secs(6);

/// How long an exchange waits for another wish. The answering side gives up after twice of it.
const IDLE: Duration = Duration::from_secs(30);

/// How often a node is asked for when the exchange ends before its answer does.
const ATTEMPTS: u32 = 3;

/// What one address is still to be asked for.
#[derive(Debug)]
pub(super) struct Queue {
    wishes: Wishes,
    // Wishes up to this number were looked at.
    upto: u64,
    // Those that another peer was being asked for, or whose exchange broke, with the attempts made.
    later: VecDeque<(u64, u32)>,
    // Asked for and not answered, in order.
    open: VecDeque<(Wish, u32)>,
}

impl Queue {
    pub(super) fn new(wishes: Wishes) -> Self {
        Self {
            wishes,
            upto: 0,
            later: VecDeque::new(),
            open: VecDeque::new(),
        }
    }

    /// The next node to ask for; it counts as asked for.
    pub(super) fn next(&mut self) -> Option<Wish> {
        while let Some(wish) = self.wishes.after(self.upto) {
            self.upto = wish.number;
            if self.wishes.begin(&wish.node) {
                self.open.push_back((wish.clone(), 1));
                return Some(wish);
            }
            self.later.push_back((wish.number, 0));
        }
        for _ in 0..self.later.len() {
            let (number, attempts) = self.later.pop_front()?;
            let Some(wish) = self.wishes.get(number) else {
                continue;
            };
            if self.wishes.begin(&wish.node) {
                self.open.push_back((wish.clone(), attempts + 1));
                return Some(wish);
            }
            self.later.push_back((number, attempts));
        }
        None
    }

    /// The node whose answer comes next.
    fn front(&self) -> Option<String> {
        self.open.front().map(|(wish, _)| wish.node.clone())
    }

    /// The first node that was asked for has been answered, or will not be.
    pub(super) fn answered(&mut self) {
        if let Some((wish, _)) = self.open.pop_front() {
            self.wishes.done(&wish.node);
        }
    }

    /// After the end of an exchange: what was not answered is asked for in the next one.
    pub(super) fn put_back(&mut self) {
        for (wish, attempts) in self.open.drain(..) {
            self.wishes.done(&wish.node);
            if attempts < ATTEMPTS {
                self.later.push_back((wish.number, attempts));
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.open.is_empty() && self.later.is_empty() && self.wishes.after(self.upto).is_none()
    }

    /// Waits until there is something to ask for.
    pub(super) async fn wished(&self) {
        let mut changes = self.wishes.changes();
        while self.is_done() {
            if changes.changed().await.is_err() {
                // It cannot close while this exists.
                return;
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.put_back();
    }
}

/// What kept nodes from being asked for when that was looked at. Read once for both, to ask and to wait: what comes
/// between two reads is waited for in vain.
#[derive(Clone, Copy, Debug, Default)]
struct Short {
    of_memory: bool,
    of_room: bool,
}

impl Short {
    fn of(pressure: &Pressure) -> Self {
        Self {
            of_memory: pressure.level() > Level::Calm,
            of_room: !pressure.has_room(),
        }
    }

    fn of_any(self) -> bool {
        self.of_memory || self.of_room
    }
}

/// An open exchange.
#[derive(Debug)]
pub(super) struct Asking {
    inner: Arc<Inner>,
    requests: mpsc::Sender<v1::ReplayRequest>,
    frames: Streaming<v1::ReplayFrame>,
    // Nodes that an agent reports there and maybe not here.
    unsettled: Vec<String>,
    taking: Option<Taking>,
    pub(super) nodes: u64,
    pub(super) rows: u64,
    // Closes the connection.
    _link: Link,
}

impl Asking {
    /// Opens the exchange and reads which nodes the peer has. Returns it with the instance that
    /// answers.
    pub(super) async fn begin(
        link: Link,
        inner: &Arc<Inner>,
        token_file: Option<&Path>,
    ) -> Result<(Self, String), Failure> {
        let opened = Self::open(link, inner, token_file);
        timeout(LIST_DEADLINE, opened).await.unwrap_or_else(|_| {
            let reason = format!("no list of nodes within {LIST_DEADLINE:?}");
            Err(Failure::new(Kind::Timeout, reason))
        })
    }

    async fn open(
        mut link: Link,
        inner: &Arc<Inner>,
        token_file: Option<&Path>,
    ) -> Result<(Self, String), Failure> {
        let (requests, queue) = mpsc::channel(AT_ONCE + 1);
        let hello = v1::PeerHello {
            aggregator_instance: inner.parts.instance.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            chunk_codecs: codec::SUPPORTED.to_vec(),
        };
        // The queue is empty and its other end is in this function.
        drop(requests.try_send(request(Ask::Hello(hello))));
        let mut asked = Request::new(ReceiverStream::new(queue));
        if let Some(value) = authorization(token_file)? {
            asked.metadata_mut().insert("authorization", value);
        }
        let answered = link.client.replay(asked).await;
        let mut frames = answered
            .map_err(|status| Failure::of_status(&status))?
            .into_inner();
        let Some(Frame::Welcome(welcome)) = received(frames.message().await)? else {
            let reason = "the first frame is not PeerWelcome: check --peer";
            return Err(Failure::new(Kind::Protocol, reason));
        };
        let mut asking = Self {
            inner: Arc::clone(inner),
            requests,
            frames,
            unsettled: Vec::new(),
            taking: None,
            nodes: 0,
            rows: 0,
            _link: link,
        };
        asking.read_list().await?;
        let instance = logging::escape(&wire::cut(welcome.aggregator_instance));
        Ok((asking, instance))
    }

    /// Wishes for every node that no agent reports, there or here.
    async fn read_list(&mut self) -> Result<(), Failure> {
        let mut count = 0;
        loop {
            let list = match received(self.frames.message().await)? {
                Some(Frame::Nodes(list)) => list,
                None => continue,
                Some(_) => {
                    let reason = "the list of nodes is not what follows PeerWelcome";
                    return Err(Failure::new(Kind::Protocol, reason));
                }
            };
            count += list.nodes.len();
            let named = |node: &v1::ListedNode| check_name(EntityKind::Node, &node.name).is_ok();
            if count > MAX_NODES || !list.nodes.iter().all(named) {
                let reason = "a list of nodes with bad names, or too many";
                return Err(Failure::new(Kind::Data, reason));
            }
            for node in list.nodes {
                if node.live {
                    self.unsettled.push(node.name);
                } else {
                    self.wish(&node.name);
                }
            }
            if list.last {
                return Ok(());
            }
        }
    }

    fn wish(&self, node: &str) {
        let parts = &self.inner.parts;
        if !parts.store.is_live(node) {
            parts.wishes.listed(node);
        }
    }

    /// Asks for node after node until there are no more. `hold` is let go after the first time.
    pub(super) async fn serve(
        &mut self,
        queue: &mut Queue,
        hold: &mut Option<Arc<Hold>>,
    ) -> Result<Done, Failure> {
        let settled_at = self.inner.started + SETTLED_AFTER;
        let pressure = self.inner.parts.pressure.clone();
        let mut settled = false;
        let mut changes = self.inner.parts.wishes.changes();
        let mut idle_at = Instant::now() + IDLE;
        let mut node_deadline = Instant::now() + NODE_DEADLINE;
        loop {
            if !settled && Instant::now() >= settled_at {
                settled = true;
                let nodes = std::mem::take(&mut self.unsettled);
                nodes.iter().for_each(|node| self.wish(node));
            }
            let mut short = Short::default();
            while queue.open.len() < AT_ONCE {
                short = Short::of(&pressure);
                if short.of_any() {
                    break;
                }
                let Some(wish) = queue.next() else { break };
                if queue.open.len() == 1 {
                    node_deadline = Instant::now() + NODE_DEADLINE;
                }
                self.ask(&wish).await?;
            }
            if let Some(node) = queue.front() {
                let received = timeout_at(node_deadline, self.frames.message()).await;
                let received = received.map_err(|_| {
                    let reason = format!("{node} did not come within {NODE_DEADLINE:?}");
                    Failure::new(Kind::Timeout, reason)
                })?;
                if self.take(&node, received, queue)? {
                    node_deadline = Instant::now() + NODE_DEADLINE;
                    idle_at = Instant::now() + IDLE;
                }
                continue;
            }
            // Without room for history readiness waits for none.
            if short.of_memory || (settled && queue.is_done()) {
                *hold = None;
            }
            tokio::select! {
                biased;
                () = sleep_until(settled_at), if !settled => {}
                changed = changes.changed() => drop(changed),
                // What waits for memory is asked for then, in this exchange.
                () = pressure.calm(), if short.of_memory => {}
                () = pressure.room(), if short.of_room => {}
                // Nothing is to come: it is the end of the stream, or a fault.
                frame = self.frames.message() => {
                    if received(frame)?.is_some() {
                        let reason = "a frame that was not asked for";
                        return Err(Failure::new(Kind::Protocol, reason));
                    }
                }
                () = sleep_until(idle_at), if settled => return Ok(Done::Idle),
            }
        }
    }

    async fn ask(&mut self, wish: &Wish) -> Result<(), Failure> {
        let parts = &self.inner.parts;
        let held = parts.store.held_of(&wish.node);
        let recall = v1::Recall {
            node: wish.node.clone(),
            held: held::to_wire(&held, wish.ring.as_ref()),
        };
        parts.metrics.asked_nodes.inc();
        let sent = timeout(
            NODE_DEADLINE,
            self.requests.send(request(Ask::Recall(recall))),
        );
        match sent.await {
            Ok(Ok(())) => Ok(()),
            // The end of the stream says why, and is read next.
            Ok(Err(_)) => Ok(()),
            Err(_) => {
                let reason = "the peer takes no request any more";
                Err(Failure::new(Kind::Timeout, reason))
            }
        }
    }

    /// Takes a frame about the node that was asked for first; true when it was the last one.
    fn take(
        &mut self,
        node: &str,
        message: Result<Option<v1::ReplayFrame>, Status>,
        queue: &mut Queue,
    ) -> Result<bool, Failure> {
        let parts = &self.inner.parts;
        let Some(frame) = received(message)? else {
            parts.metrics.skipped_frames.inc();
            return Ok(false);
        };
        let taking = self.taking.get_or_insert_with(|| Taking::new(node));
        match taking.take(parts, frame) {
            Ok(Took::More(rows)) => {
                self.rows += rows;
                Ok(false)
            }
            Ok(Took::All) => {
                self.nodes += 1;
                self.taking = None;
                queue.answered();
                Ok(true)
            }
            Err(failure) => {
                // Asking again would end the same way.
                queue.answered();
                Err(failure)
            }
        }
    }
}

fn request(ask: Ask) -> v1::ReplayRequest {
    v1::ReplayRequest { kind: Some(ask) }
}

/// What a frame says; `None` when it is of an unknown kind.
fn received(message: Result<Option<v1::ReplayFrame>, Status>) -> Result<Option<Frame>, Failure> {
    match message {
        Ok(Some(frame)) => Ok(frame.kind),
        Ok(None) => Err(Failure::new(Kind::Closed, "the peer ended the exchange")),
        Err(status) => Err(Failure::of_status(&status)),
    }
}

#[cfg(test)]
mod tests;
