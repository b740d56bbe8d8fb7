"""Rights: what the rendered RBAC grants, and what the table of deploy/README.md says that it does."""

import re

import rendered


def granted(objects):
    """(subject, scope, group, resource, names, verb) of every right, one row each.

    The subject is the role's name for a ClusterRole that is bound by nobody: a right that people get by it.
    """
    roles = {(r["kind"], r["metadata"]["name"]): r for r in rendered.of_kind(objects, "Role", "ClusterRole")}
    bound, rows = set(), set()
    for binding in rendered.of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
        reference = (binding["roleRef"]["kind"], binding["roleRef"]["name"])
        bound.add(reference)
        scope = "cluster" if binding["kind"] == "ClusterRoleBinding" else binding["metadata"]["namespace"]
        for subject in binding["subjects"]:
            rows |= rights(roles[reference], subject["name"], scope)
    for reference, role in roles.items():
        if reference not in bound:
            rows |= rights(role, reference[1], "people")
    return rows


def rights(role, subject, scope):
    rows = set()
    for rule in role["rules"]:
        for url in rule.get("nonResourceURLs", []):
            rows |= {(subject, scope, "", url, "", verb) for verb in rule["verbs"]}
        for group in rule.get("apiGroups", []):
            for resource in rule.get("resources", []):
                names = ", ".join(rule.get("resourceNames", []))
                rows |= {(subject, scope, group, resource, names, verb) for verb in rule["verbs"]}
    return rows


def documented():
    """The rows of the table below the heading "Rights": (component, row of `granted`)."""
    text = (rendered.DEPLOY / "README.md").read_text()
    section = re.split(r"^## ", text, flags=re.MULTILINE)
    (section,) = [found for found in section if found.startswith("Rights")]
    rows = []
    for line in section.splitlines():
        cells = [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        if not line.startswith("| `") or len(cells) != 7:
            continue
        where, subject, scope, what, names, verb, _why = cells
        group, _, resource = what.rpartition(" ")
        rows.append((where, (subject, scope, group, resource, names, verb)))
    return rows
