//! The simulated kubelets.

use anyhow::{Context as _, Result};

use super::{Node, Options, System};
use crate::pki::Leaf;
use crate::proc::Proc;

impl System {
    /// Starts the kubelets alone: agents are started by whoever has an aggregator.
    ///
    /// # Errors
    ///
    /// As [`System::start`].
    pub fn of_kubelets(options: Options) -> Result<Self> {
        let mut system = Self::new(options)?;
        system.start_kubelets()?;
        Ok(system)
    }

    /// Starts that of each node.
    pub(super) fn start_kubelets(&mut self) -> Result<()> {
        for name in self.options.nodes.clone() {
            let kubelet = self.start_kubelet(&name)?;
            self.nodes.push(Node {
                name,
                kubelet,
                ahead_ms: self.options.kubelet_ahead_ms,
                agent: None,
            });
        }
        Ok(())
    }

    /// Starts that of a node, with a certificate of its own making.
    fn start_kubelet(&self, name: &str) -> Result<Proc> {
        let dir = self.text(&format!("kubelet-{name}"));
        std::fs::create_dir_all(&dir)?;
        self.serve_kubelet(name, &["--make-pki", &dir])
    }

    /// Puts another in the place of a node's, with this certificate. Agents are to be told its address.
    ///
    /// # Errors
    ///
    /// When there is no such node, or the kubelet does not start.
    pub fn replace_kubelet(&mut self, node: usize, leaf: &Leaf) -> Result<()> {
        let (cert, key) = (leaf.cert_pem.display(), leaf.key_pem.display());
        let (cert, key) = (cert.to_string(), key.to_string());
        let name = &self.nodes.get(node).context("no such node")?.name;
        let kubelet = self.serve_kubelet(name, &["--cert", &cert, "--key", &key])?;
        if let Some(node) = self.nodes.get_mut(node) {
            node.kubelet = kubelet;
        }
        Ok(())
    }

    /// Ends that of a node and starts it anew as the options say, with the same certificate.
    ///
    /// # Errors
    ///
    /// When there is no such node, or the kubelet does not start.
    pub fn restart_kubelet(&mut self, node: usize) -> Result<()> {
        let name = self.nodes.get(node).context("no such node")?.name.clone();
        let file = self.path(&format!("kubelet-{name}/{name}-kubelet"));
        let leaf = Leaf {
            cert_pem: file.with_extension("pem"),
            key_pem: file.with_extension("key"),
        };
        // The address is free before the next one takes it.
        if let Some(node) = self.nodes.get_mut(node) {
            node.kubelet.kill9()?;
        }
        self.replace_kubelet(node, &leaf)
    }

    fn serve_kubelet(&self, name: &str, certificate: &[&str]) -> Result<Proc> {
        let clock = if self.options.driven {
            let start_ms = self.options.recording.start_ms;
            let ahead_ms = self.options.kubelet_ahead_ms;
            format!("driven={}", start_ms.saturating_add_signed(ahead_ms))
        } else {
            "system".to_owned()
        };
        let any = self.any();
        let mut args = vec![
            "--node",
            name,
            "--admin-listen",
            &any,
            "--token",
            &self.options.kubelet_token,
            "--clock",
            &clock,
        ];
        args.extend(certificate);
        // A test may want it to be elsewhere.
        if !self.options.sim_args.iter().any(|arg| arg == "--listen") {
            args.extend(["--listen", &any]);
        }
        let archive = self.options.recording.archive.as_ref();
        let archive = archive.map(|path| path.display().to_string());
        if let Some(archive) = &archive {
            args.extend(["--trace", archive]);
        }
        args.extend(self.options.sim_args.iter().map(String::as_str));
        Ok(Proc::start("kubelet-sim", &args, &[])?)
    }

    /// Starts a node's agent with other flags, its clock where the others stand.
    ///
    /// # Errors
    ///
    /// When there is no such node, or the agent does not come up.
    pub fn start_agent_but(
        &mut self,
        node: usize,
        change: impl FnOnce(&mut Vec<String>),
    ) -> Result<()> {
        let mut args = self.agent_args(node)?;
        change(&mut args);
        args.extend(["--clock".to_owned(), self.clock()]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let agent = Proc::start("cairn-agent", &args, &[])?;
        self.nodes.get_mut(node).context("no such node")?.agent = Some(agent);
        Ok(())
    }
}

/// Takes a flag and its value out of a command line; nothing when it is not there.
pub fn take_flag(args: &mut Vec<String>, flag: &str) {
    if let Some(at) = args.iter().position(|arg| arg == flag) {
        args.drain(at..args.len().min(at + 2));
    }
}
