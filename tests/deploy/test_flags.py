"""Every flag and variable of the rendered pods is one that its binary has, and listens where the pod says."""

import unittest

import flags
import rendered

def binary(container):
    return container["image"].split(":")[0].rsplit("/", 1)[-1]


def all_containers():
    for name in rendered.names():
        for workload in rendered.workloads(rendered.render(name)):
            for container in rendered.containers(workload):
                yield name, container


class Flags(unittest.TestCase):
    def test_every_flag_and_variable_exists(self):
        for name, container in all_containers():
            known = flags.of(binary(container))
            for flag, value in flags.given(container):
                with self.subTest(name, flag=flag):
                    self.assertIsNone(flags.problem(known, flag, value))

    def test_each_binary_is_given_no_flag_twice(self):
        for name, container in all_containers():
            given = [flag for flag, _ in flags.given(container)]
            self.assertEqual(len(given), len(set(given)), name)

    def test_listeners_and_declared_ports_are_the_same(self):
        for name, container in all_containers():
            given = dict(flags.given(container))
            known = flags.of(binary(container))
            listens = {flag for flag in [*known, *given] if flag.startswith("--") and flag.endswith("-listen")}
            ports = set()
            for flag in listens:
                address, _, port = (given.get(flag) or known[flag].default).rpartition(":")
                if address not in ("127.0.0.1", "[::1]"):
                    ports.add(int(port))
            with self.subTest(name, container=container["name"]):
                self.assertEqual(ports, {port["containerPort"] for port in container.get("ports", [])})


class Reading(unittest.TestCase):
    """The reader of the sources finds what is there and nothing else."""

    def test_known_flags_are_found_with_what_they_take(self):
        agent, aggregator = flags.of("cairn-agent"), flags.of("cairn-aggregator")
        self.assertIsNone(flags.problem(agent, "--node-name", "node"))
        self.assertIsNone(flags.problem(agent, "NODE_NAME", "node"))
        self.assertIsNone(flags.problem(agent, "--per-cpu", None))
        self.assertEqual(agent["--admin-listen"].default, "127.0.0.1:9101")
        self.assertIsNone(flags.problem(aggregator, "--peer-token-file", "file"))
        self.assertIsNone(flags.problem(aggregator, "--ingest-auth", "token-file"))

    def test_what_does_not_exist_is_refused(self):
        agent, aggregator = flags.of("cairn-agent"), flags.of("cairn-aggregator")
        for known, flag, value in [
            (agent, "--no-such-flag", "x"),
            (agent, "--per-cpu", "true"),
            (agent, "--node-name", None),
            (agent, "--grpc-listen", "[::]:9443"),
            (agent, "--sort", "cpu"),
            (agent, "CAIRN_NO_SUCH", "x"),
            (aggregator, "--ingest-auth", "no-such-way"),
        ]:
            self.assertIsNotNone(flags.problem(known, flag, value), flag)


if __name__ == "__main__":
    unittest.main()
