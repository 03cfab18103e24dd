"""The engine's syntax tree, read once into modules, rules and the names they can see.

Rule: a name resolves to every path it could mean; where that is not certain, the
caller gets more paths, never fewer. Nothing here evaluates.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from bus.core.errors import PolicyLoadError

Node = Any  # a value of the engine's JSON tree
Path = tuple[str, ...]

_REFERENCES: Final = ("Var", "RefDot", "RefBrack")


class Reference(msgspec.Struct, frozen=True):
    """A name and the constant fields after it; `complete` if nothing was computed."""

    root: str
    fields: Path
    complete: bool


class Module(msgspec.Struct, frozen=True):
    """A file: its package, its imports by alias, its rules by name."""

    file: str
    package: Path
    imports: Mapping[str, Path]
    rules: tuple[tuple[str, Node], ...]


class Program(msgspec.Struct, frozen=True):
    """All modules, where each rule stands by its full path, and what lies below a path."""

    modules: tuple[Module, ...]
    rules: Mapping[Path, tuple[tuple[Module, Node], ...]]
    below: Mapping[Path, tuple[Path, ...]]

    def related(self, path: Path) -> Iterator[Path]:
        """Yield the rules that a reference to `path` may read: at, above and below it."""
        yield from self.below.get(path, ())
        for length in range(1, len(path)):
            if path[:length] in self.rules:
                yield path[:length]

    def meanings(self, module: Module, name: Reference) -> Iterator[Path]:
        """Yield every absolute path that `name` could mean inside `module`."""
        if name.root in ("input", "data"):
            yield (name.root, *name.fields)
        if name.root in module.imports:
            yield (*module.imports[name.root], *name.fields)
        if (*module.package, name.root) in self.rules:
            yield (*module.package, name.root, *name.fields)


def parse(tree_json: str) -> Program:
    """Read the syntax tree that the engine gives for all its policies.

    Raises:
        PolicyLoadError: a tree that is not shaped as this engine's version shapes it.
    """
    try:
        modules = tuple(_module(entry) for entry in msgspec.json.decode(tree_json))
    except (KeyError, TypeError, IndexError, RecursionError, ValueError) as error:
        raise PolicyLoadError(
            f"the engine's syntax tree cannot be read: {error!r}"
        ) from error
    rules: dict[Path, list[tuple[Module, Node]]] = {}
    below: dict[Path, list[Path]] = {}
    for module in modules:
        for name, node in module.rules:
            path = (*module.package, name)
            if path not in rules:
                for length in range(1, len(path) + 1):
                    below.setdefault(path[:length], []).append(path)
            rules.setdefault(path, []).append((module, node))
    return Program(
        modules,
        {path: tuple(found) for path, found in rules.items()},
        {path: tuple(found) for path, found in below.items()},
    )


def reference(node: Node) -> Reference | None:
    """Return the name that a node refers to, or None if it is no reference."""
    if "Var" in node:
        return Reference(node["Var"]["value"], (), complete=True)
    if "RefDot" in node:
        inner = reference(node["RefDot"]["refr"])
        field = node["RefDot"]["field"]
        return _extended(inner, field[1] if field else None)
    if "RefBrack" in node:
        inner = reference(node["RefBrack"]["refr"])
        return _extended(
            inner, node["RefBrack"]["index"].get("String", {}).get("value")
        )
    return None


def references(start: Node) -> Iterator[Reference]:
    """Yield every name below a node, as long as it is constant, and its indices'."""
    todo = [start]
    while todo:
        node = todo.pop()
        if isinstance(node, list | tuple):
            todo.extend(node)
        elif isinstance(node, dict):
            name = reference(node)
            if name is not None:
                yield name
            if any(kind in node for kind in _REFERENCES):
                todo.extend(_indices(node))
            else:
                todo.extend(node.values())


def _indices(node: Node) -> Iterator[Node]:
    """Yield the expressions in brackets along a path, and what the path starts from."""
    while "RefDot" in node or "RefBrack" in node:
        if "RefBrack" in node:
            yield node["RefBrack"]["index"]
            node = node["RefBrack"]["refr"]
        else:
            node = node["RefDot"]["refr"]
    if "Var" not in node:
        yield node


def _extended(inner: Reference | None, field: str | None) -> Reference | None:
    if inner is None or not inner.complete:
        return inner
    if field is None:
        return Reference(inner.root, inner.fields, complete=False)
    return Reference(inner.root, (*inner.fields, field), complete=True)


def _module(entry: Node) -> Module:
    tree, source = entry["ast"], entry["source"]
    package = reference(tree["package"]["refr"])
    if package is None:
        raise KeyError("package")
    text = source["contents"].encode()
    return Module(
        source["file"],
        ("data", package.root, *package.fields),
        dict(_imports(tree.get("imports") or (), text)),
        tuple((_rule_name(rule), rule) for rule in tree["rules"]),
    )


def _imports(nodes: Node, text: bytes) -> Iterator[tuple[str, Path]]:
    for node in nodes:
        name = reference(node["refr"])
        if name is None:
            raise KeyError("import")
        alias = node.get("as")  # a span; the word itself is in the source
        word = text[alias["start"] : alias["end"]].decode() if alias else None
        path = (name.root, *name.fields)
        if name.root in ("input", "data"):  # not the keywords of `rego` and `future`
            yield word or path[-1], path


def _rule_name(rule: Node) -> str:
    if "Default" in rule:
        head = rule["Default"]["refr"]
    else:
        (kind,) = rule["Spec"]["head"].values()
        head = kind["refr"]
    name = reference(head)
    if name is None:
        raise KeyError("rule")
    return name.root
