"""RBAC is the table of deploy/README.md, verb by verb, and holds nothing that reaches into pods."""

import unittest

import rendered
import rights

# What opens more than it says: exec by nodes/proxy, other people's identity, or everything.
NEVER = {"nodes/proxy", "pods/exec", "pods/proxy", "services/proxy", "serviceaccounts/token", "nodes", "*"}


def components(name):
    """Whose rows of the table count in a rendering."""
    parts = set(name.removeprefix("overlays/").split("+")) | {"base"}
    return parts | ({"selinux"} if "openshift" in parts else set())


class Rights(unittest.TestCase):
    def test_the_rights_are_those_of_the_table(self):
        table = rights.documented()
        self.assertEqual(len(table), len(set(table)))
        for name in rendered.names():
            with self.subTest(name):
                where = components(name)
                expected = {row for component, row in table if component in where}
                if not rendered.is_self_managed(name):
                    # Somebody else does the writing.
                    own = ("cairn-aggregator", "kube-system")
                    expected = {r for r in expected if r[:2] == own or not (r[0] == own[0] and r[4])}
                self.assertEqual(rights.granted(rendered.render(name)), expected)

    def test_every_row_has_a_reason(self):
        text = (rendered.DEPLOY / "README.md").read_text()
        rows = [line for line in text.splitlines() if line.startswith("| `") and line.count("|") == 8]
        self.assertEqual(len(rows), len(rights.documented()))
        for row in rows:
            self.assertGreaterEqual(len(row.rstrip("| ").rpartition("|")[2].split()), 3, row)

    def test_nobody_has_what_opens_more(self):
        for name in rendered.names():
            for subject, _scope, group, resource, _names, verb in rights.granted(rendered.render(name)):
                with self.subTest(name, subject=subject, resource=resource):
                    self.assertNotIn("*", (group, resource, verb))
                    if resource == "nodes" and group == "":
                        self.assertIn(verb, ("list", "watch"))
                    else:
                        self.assertNotIn(resource, NEVER - ({"nodes"} if group == "metrics.k8s.io" else set()))
                    self.assertNotIn(verb, ("escalate", "bind", "impersonate", "delete", "deletecollection"))
                    if resource == "secrets":
                        self.assertLessEqual({verb}, {"get", "update", "patch"})

    def test_writing_is_by_name_alone(self):
        for name in rendered.names():
            for row in rights.granted(rendered.render(name)):
                if row[5] in ("update", "patch"):
                    self.assertTrue(row[4], row)

    def test_the_word_is_nowhere_in_the_manifests(self):
        for path in rendered.DEPLOY.rglob("*.yaml"):
            lines = path.read_text().splitlines()
            code = [line for line in lines if not line.lstrip().startswith("#")]
            self.assertNotIn("nodes/proxy", "\n".join(code), path)

    def test_bindings_name_roles_and_accounts_that_exist(self):
        for name in rendered.names():
            objects = rendered.render(name)
            for binding in rendered.of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
                with self.subTest(name, binding=rendered.title(binding)):
                    # A role is where its binding is, or in no namespace.
                    role, within = binding["roleRef"], binding["metadata"].get("namespace")
                    rendered.named(objects, role["kind"], role["name"], within)
                    for subject in binding["subjects"]:
                        rendered.named(objects, subject["kind"], subject["name"], subject["namespace"])
                        self.assertEqual(subject["namespace"], "cairn")


if __name__ == "__main__":
    unittest.main()
