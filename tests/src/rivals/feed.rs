//! Feeding a rival as fast as it takes it, with an eye on its memory and the time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::data::Data;
use super::rival::Rival;
use super::server::Server;
use crate::deadline::Deadline;
use crate::http1::post_head;
use crate::proc::used::Memory;

/// Two at a time, so that the next request is there when one is answered.
const CONNECTIONS: usize = 2;

/// A rival that takes longer is not fed any further.
pub(super) const WITHIN: Duration = Duration::from_secs(300);

/// A system that takes more memory is not fed any further: the machine may be shared.
pub(super) const MOST_MEMORY: u64 = 8 << 30;

/// Bytes of all requests, heads included.
pub(super) fn wire_bytes(server: &Server, rival: &Rival, data: &Data) -> u64 {
    let (addr, headers) = (server.addr(), rival.form.headers());
    let bodies = rival.form.bodies(data).iter().flatten();
    bodies
        .map(|body| (post_head(addr, rival.write, headers, body.len()).len() + body.len()) as u64)
        .sum()
}

/// Sends everything, tick after tick as a fleet does; each node's ticks in their order.
pub(super) fn all(server: &Server, rival: &Rival, data: &Data) -> Result<()> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|turn| {
                let stop = &stop;
                scope.spawn(move || send(server, rival, data, (turn, stop)))
            })
            .collect();
        let watched = watch(server, || senders.iter().all(|one| one.is_finished()));
        stop.store(true, Ordering::Relaxed);
        for sender in senders {
            match sender.join() {
                Ok(sent) => sent?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        watched
    })
}

/// Sends the nodes whose turn it is, until it is told to stop.
fn send(
    server: &Server,
    rival: &Rival,
    data: &Data,
    (turn, stop): (usize, &AtomicBool),
) -> Result<()> {
    let mut session = server.session();
    let nodes = rival.form.bodies(data);
    let ticks = nodes.first().map_or(0, Vec::len);
    for tick in 0..ticks {
        for node in nodes.iter().skip(turn).step_by(CONNECTIONS) {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let Some(body) = node.get(tick) else { continue };
            let answer = session.post(rival.write, rival.form.headers(), body)?;
            let text = || answer.text();
            ensure!(
                (200..300).contains(&answer.status),
                "{} answered {}: {}",
                rival.name,
                answer.status,
                text()
            );
        }
    }
    Ok(())
}

/// Returns when all is sent; an error when the system has taken too much of something.
fn watch(server: &Server, is_done: impl Fn() -> bool) -> Result<()> {
    let deadline = Deadline::after(WITHIN);
    let ended = deadline.poll(|| {
        if is_done() {
            return Some(Ok(()));
        }
        match Memory::of(server.id()) {
            Ok(memory) if memory.resident <= MOST_MEMORY => None,
            Ok(memory) => Some(Err(anyhow::anyhow!(
                "it takes {} MiB of memory",
                memory.resident >> 20
            ))),
            Err(error) => Some(Err(error)),
        }
    });
    match ended {
        Some(ended) => ended,
        None => bail!("it is not fed within {WITHIN:?}: {}", server.last_words()),
    }
}
