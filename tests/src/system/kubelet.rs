//! The simulated kubelets.

use anyhow::{Context as _, Result};

use super::System;
use crate::pki::Leaf;
use crate::proc::Proc;

impl System {
    /// Starts that of a node, with a certificate of its own making.
    pub(super) fn start_kubelet(&self, name: &str) -> Result<Proc> {
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

    fn serve_kubelet(&self, name: &str, certificate: &[&str]) -> Result<Proc> {
        let clock = if self.options.driven {
            let start_ms = self.options.recording.start_ms;
            let ahead_ms = self.options.kubelet_ahead_ms;
            format!("driven={}", start_ms.saturating_add_signed(ahead_ms))
        } else {
            "system".to_owned()
        };
        let mut args = vec![
            "--node",
            name,
            "--token",
            "kubelet-token",
            "--clock",
            &clock,
        ];
        args.extend(certificate);
        let archive = self.options.recording.archive.as_ref();
        let archive = archive.map(|path| path.display().to_string());
        if let Some(archive) = &archive {
            args.extend(["--trace", archive]);
        }
        args.extend(self.options.sim_args.iter().map(String::as_str));
        Ok(Proc::start("kubelet-sim", &args, &[])?)
    }
}
