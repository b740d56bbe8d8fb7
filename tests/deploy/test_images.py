"""What can be known of the images without building them: sources, pinned bases, the user, and the agent's /proc."""

import re
import tomllib
import unittest

import rendered

IMAGES = {name: (rendered.DEPLOY / f"docker/{name}.Dockerfile").read_text() for name in ("agent", "aggregator")}


def lines(text):
    """Instructions, with continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [line.split() for line in joined.splitlines() if line and not line.startswith("#")]


class Images(unittest.TestCase):
    def test_bases_are_pinned_and_the_compiler_is_the_repositorys(self):
        channel = tomllib.loads((rendered.ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
        for name, text in IMAGES.items():
            bases = [word for line in lines(text) if line[0] == "FROM" for word in line[1:] if ":" in word]
            with self.subTest(name):
                self.assertEqual(len(bases), len([line for line in lines(text) if line[0] == "FROM"]))
                self.assertFalse([base for base in bases if base.endswith(":latest")])
                self.assertIn(f"rust:{channel}-slim-bookworm", bases)

    def test_they_run_as_the_user_of_the_manifests(self):
        for name, text in IMAGES.items():
            last = text[text.rindex("\nFROM ") :]
            users = [line[1] for line in lines(last) if line[0] == "USER"]
            self.assertEqual(users, ["65532:65532"], name)
            self.assertIn(f'ENTRYPOINT ["/usr/bin/cairn-{name}"]', last)
        for name in rendered.names():
            for workload in rendered.workloads(rendered.render(name)):
                context = rendered.pod_template(workload)["spec"]["securityContext"]
                if "openshift" not in name or workload["kind"] == "DaemonSet":
                    self.assertEqual(context["runAsUser"], 65532)

    def test_what_is_copied_exists_and_is_sent_to_the_builder(self):
        ignore = (rendered.ROOT / ".dockerignore").read_text().splitlines()
        sent = [line[1:] for line in ignore if line.startswith("!")]
        self.assertIn("*", ignore)
        for path in sent:
            self.assertTrue((rendered.ROOT / path).exists(), path)
        for name, text in IMAGES.items():
            for line in lines(text):
                if line[0] != "COPY" or line[1].startswith("--from"):
                    continue
                for source in line[1:-1]:
                    with self.subTest(name, source=source):
                        self.assertTrue((rendered.ROOT / source).exists())
                        self.assertTrue(
                            any(f"{source}/".startswith(f"{path}/") or path.startswith(f"{source.rstrip('/')}/") for path in sent)
                        )

    def test_every_member_of_the_workspace_is_copied(self):
        members = tomllib.loads((rendered.ROOT / "Cargo.toml").read_text())["workspace"]["members"]
        for name, text in IMAGES.items():
            copied = {source for line in lines(text) if line[0] == "COPY" for source in line[1:-1]}
            self.assertLessEqual(set(members) | {"Cargo.toml", "Cargo.lock"}, copied, name)

    def test_the_agents_proc_has_all_that_it_reads_but_net(self):
        sources = rendered.ROOT / "agent/src/sources/procfs"
        read = set()
        for path in sources.glob("*.rs"):
            if path.name != "tests.rs":
                read |= set(re.findall(r'self\s*\.root\s*\.join\("([^"]+)"\)', path.read_text()))
        self.assertLessEqual({"stat", "loadavg"}, read)
        # Of the network namespace of process 1, or of the reader's own: neither is there.
        self.assertIn("net(self.root)", (sources / "devices.rs").read_text())
        (linked,) = re.findall(r"for file in ([a-z ]+);", IMAGES["agent"])
        self.assertEqual(set(linked.split()), read)


if __name__ == "__main__":
    unittest.main()
