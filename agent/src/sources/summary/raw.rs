//! The JSON of a summary, and its way into the inner types.
//!
//! Read in one go, element by element: what is not asked for is passed over where it stands, and no
//! body, whatever is in it, is held in another form than as the entities that are taken of it. A
//! value that is another one than expected loses itself alone; a pod without its names, the pod.

mod field;

mod reader;

mod shape;

mod storage;

use cairn_proto::limits::MAX_ENTITIES;

use self::field::Wanted;
use self::reader::Reader;
use self::shape::{Container, Node, RawCgroup, RawPod};
use super::{Pod, Stats};
use crate::sources::json::{Error, Inside, Lexer, Token};

/// Containers kept of a pod, those of one name included: far more than are taken of it, and few
/// enough that a body cannot grow to many times its size.
const MAX_CONTAINERS: usize = 1_024;

/// The pods of a body, taken as they come.
#[derive(Default)]
struct Pods {
    kept: Vec<Pod>,
    reader: Reader,
}

impl Pods {
    fn read(lexer: &mut Lexer<'_>, mut inside: Inside) -> Result<Self, Error> {
        let mut this = Self::default();
        // Each pod and each container counts: no body makes more of them than a row can have.
        let mut entities = 0;
        while entities < MAX_ENTITIES {
            if !lexer.item(&mut inside)? {
                return Ok(this);
            }
            let raw = RawPod::read(lexer)?;
            match raw.known().and_then(|raw| this.reader.pod(raw)) {
                Some(pod) => {
                    entities += entity_count(&pod);
                    this.kept.push(pod);
                }
                None => this.reader.odd_count += 1,
            }
        }
        this.reader.dropped_count += lexer.skip_list(inside)?;
        Ok(this)
    }
}

/// The containers of one pod or of the system, taken as they come.
#[derive(Default)]
struct Containers {
    kept: Vec<Stats>,
    reader: Reader,
}

impl<'a> Wanted<'a> for Containers {
    fn list(lexer: &mut Lexer<'a>, mut inside: Inside) -> Result<Option<Self>, Error> {
        let mut this = Self::default();
        while this.kept.len() < MAX_CONTAINERS {
            if !lexer.item(&mut inside)? {
                return Ok(Some(this));
            }
            match this.reader.container(Container::read(lexer)?) {
                Some(stats) => this.kept.push(stats),
                None => this.reader.odd_count += 1,
            }
        }
        this.reader.dropped_count += lexer.skip_list(inside)?;
        Ok(Some(this))
    }
}

/// How many entities a pod is with all that belongs to it.
fn entity_count(pod: &Pod) -> usize {
    let of = |stats: &Stats| 1 + stats.parts.len();
    of(&pod.stats) + pod.containers.iter().map(of).sum::<usize>()
}

/// Reads a summary; `None` when there is no node in it.
///
/// # Errors
///
/// The body is no JSON object, its node none, or its pods no list.
pub(super) fn summary(body: &[u8]) -> Result<Option<super::Summary>, Error> {
    let mut lexer = Lexer::new(body);
    let Token::Object(mut inside) = lexer.token()? else {
        return Err(lexer.broken("no object"));
    };
    let (mut node, mut pods) = (None, None);
    while let Some(key) = lexer.key(&mut inside)? {
        match &*key {
            "node" if node.is_none() => {
                node = Some(match lexer.token()? {
                    Token::Null => None,
                    Token::Object(inside) => Node::object(&mut lexer, inside)?,
                    _ => return Err(lexer.broken("node is no object")),
                });
            }
            "pods" if pods.is_none() => {
                pods = Some(match lexer.token()? {
                    Token::Null => Pods::default(),
                    Token::List(inside) => Pods::read(&mut lexer, inside)?,
                    _ => return Err(lexer.broken("pods are no list")),
                });
            }
            "node" | "pods" => return Err(lexer.broken("node or pods twice")),
            _ => lexer.skip()?,
        }
    }
    lexer.end()?;
    Ok(node
        .flatten()
        .map(|node| whole(node, pods.unwrap_or_default())))
}

fn whole(node: Node<'_>, pods: Pods) -> super::Summary {
    let Pods {
        kept: pods,
        mut reader,
    } = pods;
    let mut stats = reader.cgroup(
        String::new(),
        RawCgroup {
            start_time: node.start_time,
            cpu: node.cpu,
            memory: node.memory,
            io: node.io,
            swap: node.swap,
            averages: true,
        },
    );
    reader.network(&mut stats, node.network);
    reader.node_storage(&mut stats, node.fs, node.runtime);
    reader.rlimit(&mut stats, node.rlimit);
    let system = reader.containers(node.system_containers);
    let node_name = reader
        .value(node.node_name)
        .unwrap_or_default()
        .into_owned();
    super::Summary {
        node_name,
        node: stats,
        system,
        pods,
        odd_count: reader.odd_count,
        dropped_count: reader.dropped_count,
    }
}
