"""Every rendered object against Kubernetes' own schemas, in which an unknown field is an error.

The schemas are those of the package kubernetes-validate, made from the OpenAPI of each release.
"""

import json
import unittest

import kubernetes_validate
import rendered

# The newest, the one that the recorded cluster had, and the first that knows recursiveReadOnly.
VERSIONS = ("1.37", "1.36", "1.30")

# Before 1.30 the one field that is not known is recursiveReadOnly; deploy/README.md says what to do there.
BEFORE = ("1.28",)

# Kinds of others, of which there is no schema here: their fields are checked by nothing.
FOREIGN = {
    ("cert-manager.io/v1", "Issuer"),
    ("cert-manager.io/v1", "Certificate"),
    ("security.openshift.io/v1", "SecurityContextConstraints"),
}


def distinct():
    """Each object once, however many renderings have it, with the first that does."""
    found = {}
    for name in rendered.names():
        for thing in rendered.render(name):
            found.setdefault(json.dumps(thing, sort_keys=True), (name, thing))
    return found.values()


def without_recursive(value):
    if isinstance(value, dict):
        return {key: without_recursive(inner) for key, inner in value.items() if key != "recursiveReadOnly"}
    if isinstance(value, list):
        return [without_recursive(inner) for inner in value]
    return value


class Schema(unittest.TestCase):
    def check(self, thing, version):
        kubernetes_validate.validate(thing, version, strict=True)

    def test_every_object_is_valid(self):
        kinds = set()
        for name, thing in distinct():
            kinds.add((thing["apiVersion"], thing["kind"]))
            if (thing["apiVersion"], thing["kind"]) in FOREIGN:
                continue
            for version in VERSIONS:
                with self.subTest(name, thing=rendered.title(thing), version=version):
                    self.check(thing, version)
        self.assertLessEqual(FOREIGN, kinds, "a kind without a schema is not used any more")

    def test_older_releases_miss_one_field(self):
        for name, thing in distinct():
            if (thing["apiVersion"], thing["kind"]) in FOREIGN:
                continue
            for version in BEFORE:
                with self.subTest(name, thing=rendered.title(thing), version=version):
                    self.check(without_recursive(thing), version)

    def test_an_unknown_field_is_refused(self):
        workload = rendered.named(rendered.render("base"), "DaemonSet", "cairn-agent")
        broken = json.loads(json.dumps(workload))
        broken["spec"]["template"]["spec"]["containers"][0]["imagePullPolcy"] = "Always"
        with self.assertRaises(kubernetes_validate.ValidationError):
            self.check(broken, VERSIONS[0])
        with self.assertRaises(kubernetes_validate.ValidationError):
            self.check(workload, BEFORE[0])


if __name__ == "__main__":
    unittest.main()
