"""The flags of both binaries and their environment variables, read from the sources that declare them."""

import dataclasses
import functools
import re

import rendered

# One declared field: its attribute, its name and its type.
FIELD = re.compile(r"#\[arg\((?P<attribute>.*?)\)\]\s*pub (?P<name>\w+): (?P<type>[\w:<>]+)", re.DOTALL)
ENUM = re.compile(r"#\[derive\([^)]*ValueEnum[^)]*\)\]\s*pub enum (?P<name>\w+) \{(?P<body>.*?)\n\}", re.DOTALL)


@dataclasses.dataclass
class Flag:
    takes_value: bool
    # None where any value will do.
    values: list | None
    default: str | None


def kebab(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower().replace("_", "-")


@functools.cache
def of(binary):
    """Flags by `--name` and by the variable's name."""
    sources = rendered.ROOT / binary.removeprefix("cairn-") / "src"
    # Of the agent's subcommands (args/) no manifest uses any.
    texts = [path.read_text() for path in sorted(sources.rglob("*.rs")) if "args" not in path.parent.parts]
    if binary == "cairn-aggregator":
        own = (path for path in sorted((sources / "args").glob("*.rs")) if path.name != "command.rs")
        texts += [path.read_text() for path in own]
    enums = {}
    for text in texts:
        for found in ENUM.finditer(text):
            enums[found["name"]] = [kebab(name) for name in re.findall(r"^    (\w+),", found["body"], re.MULTILINE)]
    # Of the C library in both.
    flags = {"MALLOC_ARENA_MAX": Flag(takes_value=True, values=None, default=None)}
    for text in texts:
        for found in FIELD.finditer(text):
            add(flags, found, enums)
    return flags


def add(flags, found, enums):
    attribute = found["attribute"]
    if not re.search(r"\blong\b", attribute):
        return
    default = re.search(r'default_value = "([^"]*)"', attribute)
    inner = re.sub(r"^(Option|Vec)<(.*)>$", r"\2", found["type"])
    flag = Flag(found["type"] != "bool", enums.get(inner), default[1] if default else None)
    long = re.search(r'\blong = "([^"]*)"', attribute)
    flags["--" + (long[1] if long else kebab(found["name"]))] = flag
    if variable := re.search(r'env = "([^"]*)"', attribute):
        flags[variable[1]] = flag


def problem(flags, name, value):
    """What is wrong with `--name=value` or with a variable; None where nothing is."""
    flag = flags.get(name)
    if flag is None:
        return f"{name} does not exist"
    if flag.takes_value == (value is None):
        return f"{name} {'needs a' if flag.takes_value else 'takes no'} value"
    if flag.values is not None and value not in flag.values:
        return f"{name} is one of {flag.values}, not {value}"
    return None


def given(container):
    """What a container's args and environment set: (name, value), value None of a bare flag."""
    for argument in container.get("args", []):
        name, equals, value = argument.partition("=")
        yield name, value if equals else None
    for variable in container.get("env", []):
        yield variable["name"], variable.get("value", "from the pod")
