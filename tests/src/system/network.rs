//! A system with a network of its own between an agent and its aggregator.

use anyhow::{Context as _, Result};

use super::System;
use crate::proc::Proc;
use crate::proxy::Proxy;

impl System {
    /// Starts a node's agent anew. It reaches the aggregator through a network that can be cut and
    /// slowed down, and the other one, if there is one, straight.
    ///
    /// # Errors
    ///
    /// When it does not come up, or there is no aggregator.
    pub fn start_agent_behind(&mut self, index: usize, other: Option<&Proc>) -> Result<Proxy> {
        let proxy = Proxy::start(self.aggregator()?.addr("grpc")?)?;
        let mut args = self.agent_args(index)?;
        *value_of(&mut args, "--aggregator")? = format!("https://{}", proxy.addr);
        if let Some(other) = other {
            let address = other.addr("grpc")?;
            args.extend(["--aggregator".to_owned(), format!("https://{address}")]);
        }
        args.extend(["--clock".to_owned(), self.clock()]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let node = self.nodes.get_mut(index).context("no such node")?;
        // Of two agents of a node the newer would end the other's stream.
        node.agent = None;
        node.agent = Some(Proc::start("cairn-agent", &args, &[])?);
        Ok(proxy)
    }

    /// Starts another aggregator that knows nothing of the first one.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub fn another_aggregator(&self) -> Result<Proc> {
        let mut args = self.aggregator_args();
        "127.0.0.1:0".clone_into(value_of(&mut args, "--grpc-listen")?);
        args.extend(["--clock".to_owned(), self.clock()]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        Ok(Proc::start("cairn-aggregator", &args, &[])?)
    }
}

fn value_of<'a>(args: &'a mut [String], flag: &str) -> Result<&'a mut String> {
    let at = args.iter().position(|arg| arg == flag);
    at.and_then(|at| args.get_mut(at + 1))
        .with_context(|| format!("no {flag}"))
}
