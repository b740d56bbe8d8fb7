//! The JSON of a summary, and its way into the inner types.
//!
//! Read in one go, element by element: what is not asked for is passed over where it stands, and no
//! body, whatever is in it, is held in another form than as the entities that are taken of it. A
//! value that is another one than expected loses itself alone; a pod without its names, the pod.

mod again;

mod field;

mod lists;

mod reader;

mod shape;

mod spare;

mod storage;

mod time;

use cairn_proto::limits::MAX_ENTITIES;

use self::again::Again;
use self::field::Wanted;
use self::reader::Reader;
use self::shape::{Node, RawPod, RawPsi, RawShare};
use self::spare::Spare;
use self::time::Minute;
use super::{Pod, Stats, Summary};
use crate::sources::json::{Error, Inside, Lexer, Token};

/// Containers kept of a pod, those of one name included: far more than are taken of it, and few
/// enough that a body cannot grow to many times its size.
const MAX_CONTAINERS: usize = 1_024;

/// A body that is being read, and what becomes of it.
struct Input<'a> {
    lexer: Lexer<'a>,
    reader: Reader,
    minute: Minute<'a>,
    psi: Again<'a, RawPsi>,
    share: Again<'a, RawShare>,
}

impl<'a> Input<'a> {
    /// At the beginning of a body, with the room of an answer before it.
    fn new(body: &'a [u8], spare: Option<Summary>) -> Self {
        Self {
            lexer: Lexer::new(body),
            reader: Reader {
                spare: spare.map(Spare::of).unwrap_or_default(),
                ..Reader::default()
            },
            minute: Minute::default(),
            psi: Again::default(),
            share: Again::default(),
        }
    }

    /// The pods of a body, taken as they come.
    fn pods(&mut self, mut inside: Inside) -> Result<Vec<Pod>, Error> {
        let mut pods = Vec::with_capacity(self.reader.spare.pod_count());
        // Each pod and each container counts: no body makes more of them than a row can have.
        let mut entities = 0;
        while entities < MAX_ENTITIES {
            if !self.lexer.item(&mut inside)? {
                return Ok(pods);
            }
            let counts = self.reader.counts;
            let raw: Option<RawPod<'a>> = field::object(self)?;
            match raw.and_then(|raw| self.reader.pod(raw)) {
                Some(pod) => {
                    entities += entity_count(&pod);
                    pods.push(pod);
                }
                None => self.reader.counts = counts.and_one_odd(),
            }
        }
        self.reader.counts.dropped += self.lexer.skip_list(inside)?;
        Ok(pods)
    }

    /// The node without its pods.
    fn node(&mut self, inside: Inside) -> Result<Option<Summary>, Error> {
        let node = Node::object(self, inside)?;
        Ok(node.map(|node| self.reader.node(node)))
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
pub(super) fn summary(body: &[u8], spare: Option<Summary>) -> Result<Option<Summary>, Error> {
    let mut input = Input::new(body, spare);
    let Token::Object(mut inside) = input.lexer.token()? else {
        return Err(input.lexer.broken("no object"));
    };
    let (mut node, mut pods) = (None, None);
    while let Some(key) = input.lexer.key(&mut inside)? {
        match &*key {
            "node" if node.is_none() => {
                node = Some(match input.lexer.token()? {
                    Token::Null => None,
                    Token::Object(inside) => input.node(inside)?,
                    _ => return Err(input.lexer.broken("node is no object")),
                });
            }
            "pods" if pods.is_none() => {
                pods = Some(match input.lexer.token()? {
                    Token::Null => Vec::new(),
                    Token::List(inside) => input.pods(inside)?,
                    _ => return Err(input.lexer.broken("pods are no list")),
                });
            }
            "node" | "pods" => return Err(input.lexer.broken("node or pods twice")),
            _ => input.lexer.skip()?,
        }
    }
    let Input { lexer, reader, .. } = input;
    lexer.end()?;
    Ok(node.flatten().map(|node| Summary {
        pods: pods.unwrap_or_default(),
        odd_count: reader.counts.odd,
        dropped_count: reader.counts.dropped,
        ..node
    }))
}
