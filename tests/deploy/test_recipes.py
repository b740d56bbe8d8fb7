"""The commands of deploy/README.md, run as they stand there, against objects instead of a cluster."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import kubernetes_validate
import rendered
import yaml

NAMES = ("cairn-ingest.cairn.svc", "cairn-aggregator.cairn.svc")

# As metrics-server's own manifest has it, and as an API server gives it back.
THEIRS = {
    "apiVersion": "apiregistration.k8s.io/v1",
    "kind": "APIService",
    "metadata": {
        "name": "v1beta1.metrics.k8s.io",
        "labels": {"k8s-app": "metrics-server"},
        "resourceVersion": "1234",
        "uid": "0b5a0a3e-31a1-4a2f-8d0c-3c5b2a4d9f10",
    },
    "spec": {
        "group": "metrics.k8s.io",
        "groupPriorityMinimum": 100,
        "insecureSkipTLSVerify": True,
        "service": {"name": "metrics-server", "namespace": "kube-system", "port": 443},
        "version": "v1beta1",
        "versionPriority": 100,
    },
    "status": {"conditions": [{"type": "Available", "status": "True"}]},
}

# Stands for kubectl: what needs no cluster is done by the real one, a patch on the object's file, and a get
# prints it, or the field that was asked for.
STAND_IN = """#!{python}
import subprocess, sys
real, objects, arguments = {kubectl!r}, {objects!r}, sys.argv[1:]
if arguments[:2] == ["-n", "cairn"]:
    arguments = arguments[2:]
verb, kind, name, *rest = arguments
file = f"{{objects}}/{{kind}}.yaml"
if verb == "patch":
    done = subprocess.run([real, "patch", "--local", "-f", file, *rest, "-o", "yaml"], capture_output=True, text=True)
    sys.stderr.write(done.stderr)
    if done.returncode == 0:
        open(file, "w").write(done.stdout)
    sys.exit(done.returncode)
if verb == "get" and rest == ["-o", "jsonpath={{.data.ca\\\\.crt}}"]:
    sys.stdout.write(open("ca.crt").read())
elif verb == "get" and rest == ["-o", "yaml"]:
    sys.stdout.write(open(file).read())
elif verb == "create":
    sys.exit(subprocess.run([real, *arguments]).returncode)
else:
    sys.exit(f"not expected here: {{sys.argv}}")
"""


def block(text):
    """The one sh block of the page that has this text."""
    page = (rendered.DEPLOY / "README.md").read_text()
    (found,) = [code for code in re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE) if text in code]
    return found


def yaml_block(text):
    """The one yaml block of the page that has this text."""
    page = (rendered.DEPLOY / "README.md").read_text()
    (found,) = [code for code in re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE) if text in code]
    return found


class Recipes(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.at = pathlib.Path(directory.name)
        (self.at / "objects").mkdir()
        (self.at / "bin").mkdir()
        program = self.at / "bin/kubectl"
        program.write_text(
            STAND_IN.format(python=sys.executable, kubectl=str(rendered.KUBECTL), objects=str(self.at / "objects"))
        )
        program.chmod(0o755)

    def have(self, kind, thing):
        (self.at / f"objects/{kind}.yaml").write_text(yaml.safe_dump(thing))

    def had(self, kind):
        return yaml.safe_load((self.at / f"objects/{kind}.yaml").read_text())

    def run_block(self, code):
        environment = {**os.environ, "PATH": f"{self.at}/bin:{os.environ['PATH']}"}
        return subprocess.run(
            ["sh", "-eu", "-c", code], cwd=self.at, env=environment, capture_output=True, text=True, check=False,
            timeout=120,
        )

    def certificates(self):
        objects = rendered.render("tls-files")
        self.have("secret", rendered.named(objects, "Secret", "cairn-aggregator-tls"))
        self.have("configmap", rendered.named(objects, "ConfigMap", "cairn-ca"))
        run = self.run_block(block("cairn-ingest.cairn.svc"))
        self.assertEqual(run.returncode, 0, run.stderr)

    def test_openssl_fills_the_secret_and_the_config_map(self):
        self.certificates()
        secret, config_map = self.had("secret"), self.had("configmap")
        self.assertEqual(secret["data"].keys(), {"tls.crt", "tls.key"})
        self.assertEqual(config_map["data"], {"ca.crt": (self.at / "ca.crt").read_text()})
        for thing in (secret, config_map):
            self.assertEqual(thing["metadata"]["labels"]["app.kubernetes.io/part-of"], "cairn")
        for name in NAMES:
            command = f"openssl verify -CAfile ca.crt -purpose sslserver -verify_hostname {name} tls.crt"
            self.assertEqual(self.run_block(command).returncode, 0, name)
        self.assertNotEqual(self.run_block("openssl verify -CAfile ca.crt -verify_hostname cairn tls.crt").returncode, 0)
        for file in ("ca.crt", "tls.crt"):
            text = self.run_block(f"openssl x509 -in {file} -noout -text").stdout
            # Twice the same extension is no certificate for the binaries.
            self.assertLessEqual(text.count("X509v3 Basic Constraints"), 1, file)
        self.assertEqual((self.at / "tls.key").stat().st_mode & 0o077, 0)

    def test_the_ca_bundle_goes_into_an_api_service_of_cairns_and_into_no_other(self):
        self.certificates()
        code = block("/spec/caBundle")
        ours = rendered.named(rendered.render("metrics-api+tls-files"), "APIService", "v1beta1.metrics.k8s.io", None)
        self.have("apiservice", ours)
        run = self.run_block(code)
        self.assertEqual(run.returncode, 0, run.stderr)
        filled = self.had("apiservice")
        kubernetes_validate.validate(filled, "1.37", strict=True)
        self.assertIn("caBundle", filled["spec"])
        self.assertEqual({**filled["spec"], "caBundle": None}, {**ours["spec"], "caBundle": None})
        self.have("apiservice", THEIRS)
        self.assertNotEqual(self.run_block(code).returncode, 0)
        self.assertEqual(self.had("apiservice"), THEIRS)

    def test_what_was_saved_can_replace_what_is_there_later(self):
        self.have("apiservice", THEIRS)
        run = self.run_block(block("> metrics-apiservice.yaml"))
        self.assertEqual(run.returncode, 0, run.stderr)
        saved = yaml.safe_load((self.at / "metrics-apiservice.yaml").read_text())
        self.assertEqual(saved["spec"], THEIRS["spec"])
        self.assertEqual(saved["metadata"], {"name": THEIRS["metadata"]["name"], "labels": {"k8s-app": "metrics-server"}})
        self.assertNotIn("status", saved)

    def test_the_file_of_the_installation_renders_with_its_images(self):
        code = block("mkdir -p site")
        written = self.run_block(code[code.index("mkdir") : code.index("kubectl")])
        self.assertEqual(written.returncode, 0, written.stderr)
        text = (self.at / "site/kustomization.yaml").read_text()
        # As in the placeholder's place: names of registries have no capitals.
        objects = rendered.site(yaml.safe_load(text.replace("REGISTRY", "registry.example")))
        images = {c["image"] for w in rendered.workloads(objects) for c in rendered.containers(w)}
        built = {re.sub("^REGISTRY", "registry.example", tag) for tag in re.findall(r"-t (\S+)", code)}
        self.assertEqual(images, built)

    def test_what_the_page_mixes_renders(self):
        mixed = yaml.safe_load(yaml_block("components/selinux"))
        kinds = {thing["kind"] for thing in rendered.site(mixed)}
        self.assertLessEqual({"APIService", "Certificate", "DaemonSet"}, kinds)

    def test_the_patch_for_k3s_mounts_another_directory(self):
        patches = yaml.safe_load(yaml_block("k3s/agent"))
        pod = rendered.pod_template(
            rendered.named(rendered.site({"resources": ["../deploy/base"], **patches}), "DaemonSet", "cairn-agent")
        )["spec"]
        mounts = {mount["mountPath"]: mount for mount in pod["containers"][0]["volumeMounts"]}
        self.assertIs(mounts["/var/lib/rancher/k3s/agent"]["readOnly"], True)
        paths = [volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume]
        self.assertIn("/var/lib/rancher/k3s/agent", paths)

    def test_argo_cd_is_told_of_all_that_is_filled_at_run_time(self):
        ignored = yaml.safe_load(yaml_block("ignoreDifferences"))["spec"]["ignoreDifferences"]
        ignored = {(entry["kind"], entry["name"]) for entry in ignored}
        kinds = ("Secret", "ConfigMap", "Lease", "APIService")
        filled = {
            (thing["kind"], thing["metadata"]["name"])
            for name in rendered.PLAIN for thing in rendered.of_kind(rendered.render(name), *kinds)
        }
        self.assertEqual(ignored, filled)

    def test_all_blocks_are_good_shell(self):
        page = (rendered.DEPLOY / "README.md").read_text()
        blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
        self.assertGreater(len(blocks), 8)
        for code in blocks:
            run = subprocess.run(["sh", "-n"], input=code, capture_output=True, text=True, check=False, timeout=60)
            self.assertEqual(run.returncode, 0, run.stderr + code)

    def test_what_is_applied_before_the_api_service_is_all_but_it(self):
        code = block("--selector")
        label, value = re.search(r"--selector (\S+)!=(\S+)", code).groups()
        for thing in rendered.render("overlays/metrics-api"):
            with self.subTest(rendered.title(thing)):
                labels = thing["metadata"].get("labels", {})
                self.assertEqual(labels.get(label) == value, thing["kind"] == "APIService")

    def test_remove_and_go_back_name_all_that_base_does_not_have(self):
        base = {(thing["kind"], thing["metadata"]["name"]) for thing in rendered.render("base")}
        texts = {"overlays/metrics-api": ("kubectl replace", "kubectl delete -k"), "overlays/openshift": ("kubectl delete -k",)}
        for name, blocks in texts.items():
            for text in blocks:
                for thing in rendered.render(name):
                    key = (thing["kind"], thing["metadata"]["name"])
                    # The namespace goes with all that is in it, and the APIService was replaced.
                    gone = "namespace" in thing["metadata"] and "delete -k" in text
                    if key in base or gone or key[0] == "APIService":
                        continue
                    with self.subTest(name, block=text, thing=rendered.title(thing)):
                        self.assertRegex(block(text), rf"{key[0].lower()}\b[^\n]* {re.escape(key[1])}\b")


if __name__ == "__main__":
    unittest.main()
