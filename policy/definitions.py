"""Each definition of a rule by itself: where it stands, what it reads, and a copy of it.

Rule: a copy is the definition's own text under a name of its own, so that it sees what
the original sees; copies are appended to their file and move no line of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal

import msgspec

from policy.source import Source
from policy.syntax import Module, Node, Path, Program, references

Kind = Literal["rule", "partial", "default", "function"]
# What the value of a copy is known by: (number of the definition, number of its branch).
CopyKey = tuple[int, int]

_PREFIX: Final = "assent_explained"
_GATHERED: Final = "all"


class Definition(msgspec.Struct, frozen=True):
    """One definition of a rule.

    `lines` are the first and the last. `branches` are the texts up to the end of each
    branch (`else`) and its line, with the rule's name cut off; a function has none,
    its arguments are not known.
    """

    path: Path
    kind: Kind
    module: Module
    node: Node
    lines: tuple[int, int]
    branches: tuple[tuple[str, int], ...]

    @property
    def rule(self) -> str:
        """The rule's full name, as in `data.assent.authz.allow`."""
        return ".".join(self.path)

    def reads(self, program: Program, branch: int = -1) -> tuple[set[Path], set[Path]]:
        """Return (rules, input paths) read, up to a branch; by default by all of it."""
        rules: set[Path] = set()
        fields: set[Path] = set()
        for name in references(_up_to(self.node, branch)):
            for path in program.meanings(self.module, name):
                if path[0] == "input":
                    fields.add(path[1:])
                else:
                    rules.update(program.related(path))
        return rules, fields


def reached(program: Program, entry: Path) -> list[Path]:
    """Return the rules at `entry` and all they can read, those nearer to it first."""
    found = list(dict.fromkeys(program.related(entry)))
    seen = set(found)
    for path in found:  # it grows while it is walked
        for module, node in program.rules[path]:
            for name in references(node):
                for meant in program.meanings(module, name):
                    new = [p for p in program.related(meant) if p not in seen]
                    found.extend(dict.fromkeys(new))
                    seen.update(new)
    return found


def definitions(
    program: Program, sources: Sequence[Source], paths: Sequence[Path]
) -> list[Definition]:
    """Return every definition of the rules at `paths`, in their order."""
    texts = {source.name: source.text.encode() for source in sources}
    ends = {
        module.file: _ends(module, len(texts[module.file]))
        for module in program.modules
    }
    return [
        _definition(path, module, node, texts[module.file], ends[module.file])
        for path in paths
        for module, node in program.rules[path]
    ]


def with_copies(
    sources: Sequence[Source], found: Sequence[Definition]
) -> tuple[list[Source], str]:
    """Return the files with a copy of each definition, and the rule that gathers them.

    That rule is an object with a key for each branch whose copy is defined; beside it
    stands a rule of each key's name.
    """
    prefix = _PREFIX
    while any(prefix in source.text for source in sources):
        prefix += "_"
    copies: dict[str, list[str]] = {}
    gathered = [f"package {prefix}"]
    for number, definition in enumerate(found):
        word = "default " if definition.kind == "default" else ""
        for branch, (text, _) in enumerate(definition.branches):
            name = f"{prefix}_{number}_{branch}"
            copies.setdefault(definition.module.file, []).append(f"{word}{name}{text}")
            path = (*definition.module.package[1:], name)
            steps = "".join(f"[{msgspec.json.encode(step).decode()}]" for step in path)
            key = key_name((number, branch))
            gathered.append(f"{key} := data{steps}")
            # Not `all["key"]`: to the engine that is a rule of another path.
            gathered.append(
                f'{_GATHERED}[k] := v if {{\n\tk := "{key}"\n\tv := {key}\n}}'
            )
    made = [
        Source(file.name, "\n".join((file.text, *copies.get(file.name, ()))) + "\n")
        for file in sources
    ]
    made.append(Source(f"{prefix}.rego", "\n\n".join(gathered) + "\n"))
    return made, f"data.{prefix}.{_GATHERED}"


def copy_key(name: str) -> CopyKey:
    """Return what a key of the gathering rule stands for."""
    _, number, branch = name.split("_")
    return int(number), int(branch)


def key_name(key: CopyKey) -> str:
    """Return the key of the gathering rule for a branch of a definition."""
    number, branch = key
    return f"copy_{number}_{branch}"


def _definition(
    path: Path, module: Module, node: Node, text: bytes, ends: Mapping[int, int]
) -> Definition:
    kind, refr = _kind(node)
    (inner,) = node.values()
    start = inner["span"]["start"]
    # The engine's spans end before a closing quote: the next rule's start is certain.
    end = ends[start]
    while "Var" not in refr:
        refr = next(iter(refr.values()))["refr"]
    after_name = refr["Var"]["span"]["end"]
    bodies = [body for body in inner.get("bodies", ()) if body["is_else"]]
    cuts = [*(body["span"]["start"] for body in bodies), end]
    lines = [inner["span"]["line"], *(body["span"]["line"] for body in bodies)]
    last = inner["span"]["line"] + text[start:end].rstrip().count(b"\n")
    branches = (
        ()
        if kind == "function"
        else tuple(
            (text[after_name:cut].decode(), line)
            for cut, line in zip(cuts, lines, strict=True)
        )
    )
    return Definition(path, kind, module, node, (lines[0], last), branches)


def _kind(node: Node) -> tuple[Kind, Node]:
    """Return what a rule node defines, and the node of its name."""
    if "Default" in node:
        return "default", node["Default"]["refr"]
    ((head, told),) = node["Spec"]["head"].items()
    if head == "Func":
        return "function", told["refr"]
    plain = head == "Compr" and "Var" in told["refr"]
    return "rule" if plain else "partial", told["refr"]


def _ends(module: Module, size: int) -> dict[int, int]:
    """Return where each rule's text ends, by where it starts, in bytes."""
    starts = sorted(
        next(iter(node.values()))["span"]["start"] for _, node in module.rules
    )
    return dict(pairwise([*starts, size]))


def _up_to(node: Node, branch: int) -> Node:
    """Return a rule node without the branches after `branch`."""
    if branch < 0 or "Default" in node:
        return node
    spec = node["Spec"]
    kept = list(_bodies_up_to(spec["bodies"], branch))
    return {"Spec": {**spec, "bodies": kept}}


def _bodies_up_to(bodies: Sequence[Node], branch: int) -> Iterator[Node]:
    seen = 0
    for body in bodies:
        seen += body["is_else"]
        if seen > branch:
            return
        yield body
