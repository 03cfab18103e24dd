"""What loaded policies must not do, found in their syntax before a rule runs.

Rule: the engine notices an unknown function only when it is reached, lets data override
a rule, and dies of a function that calls itself. It answers in one go, while the bus
waits, so no function may work as long as one number tells it to. None of that gets past
a load.
"""

import re
from collections.abc import Iterator, Mapping, Set as AbstractSet
from typing import Any, Final, NoReturn

import msgspec

from bus.core.errors import PolicyLoadError
from bus.core.limits import POLICY_FORMAT_DIGITS_MAX, POLICY_RULES_DEEP_MAX
from policy import sliced
from policy.syntax import (
    Module,
    Node,
    Path,
    Program,
    Reference,
    reference,
    references,
)

# Stubs of the embedded engine, or doors to the outside: no policy may call them.
REFUSED: Final = frozenset({"http.send", "net.lookup_ip_addr", "opa.runtime"})
# Their work grows with the value of an argument, or doubles with its length: 32 bytes
# of a message can hold up the bus for hours, or exhaust the memory.
UNBOUNDED: Final = frozenset(
    {
        "bits.lsh",
        "graph.reachable_paths",
        "json.patch",
        "net.cidr_expand",
        "numbers.range",
        "numbers.range_step",
        "units.parse",
        "units.parse_bytes",
    }
)
_FORMAT: Final = "sprintf"
_WIDE: Final = re.compile(rf"%[^%a-zA-Z]*\d{{{POLICY_FORMAT_DIGITS_MAX + 1}}}")


def check_calls(program: Program, builtins: AbstractSet[str]) -> None:
    """Refuse a call of a function that is refused, or is neither rule nor built-in.

    Raises:
        PolicyLoadError: with the file and line of the call. So is a call whose work has
            no bound.
    """
    for module in program.modules:
        for node in _nodes([rule for _, rule in module.rules]):
            for name, line in _functions(node):
                word = ".".join((name.root, *name.fields))
                problem = _problem(word, node)
                if problem:
                    _refuse(f"{word} may not be called{problem}", module, line)
                if word not in builtins and not _is_rule(program, module, name):
                    _refuse(f"there is no function {word}", module, line)


def decoded(data_json: str) -> Mapping[str, Any]:
    """Return the object that a text is.

    Raises:
        PolicyLoadError: it is none.
    """
    try:
        data = msgspec.json.decode(data_json)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PolicyLoadError(f"data: {error}") from None
    if not isinstance(data, dict):
        raise PolicyLoadError("data is not an object")
    return data


def check_overlap(program: Program, data: Mapping[str, Any]) -> None:
    """Refuse data at, above or below a package: it would override the package's rules.

    Raises:
        PolicyLoadError: with the file of the package.
    """
    for module in program.modules:
        if sliced.reaches(data, module.package[1:]):
            package = ".".join(module.package[1:])
            reason = f"data and package {package} overlap; data would override rules"
            _refuse(reason, module, 1)


def check_recursion(program: Program) -> None:
    """Refuse a function that reaches itself, and rules that build on too many others.

    Raises:
        PolicyLoadError: with the file and line of a rule concerned.
    """
    functions = {
        path
        for path, found in program.rules.items()
        if any("Func" in (node.get("Spec") or {}).get("head", ()) for _, node in found)
    }
    levels: dict[Path, int] = {}
    for start in program.rules:
        if start not in levels:
            _descend(program, start, functions, levels)


def _descend(
    program: Program, start: Path, functions: set[Path], levels: dict[Path, int]
) -> None:
    """Note in `levels` how deep each rule reached from `start` builds on others."""
    stack = [(start, _reached(program, start))]
    place = {start: 0}
    levels[start] = 1
    while stack:
        path, reached = stack[-1]
        following = next(reached, None)
        if following is None:
            stack.pop()
            del place[path]
            if stack:
                above = stack[-1][0]
                levels[above] = max(levels[above], levels[path] + 1)
        elif following in place:
            cycle = {rule for rule, _ in stack[place[following] :]}
            # Rules without arguments that reach themselves fail when evaluated.
            if cycle & functions:
                _refuse_rule(program, following, "a function reaches itself")
        elif following in levels:
            levels[path] = max(levels[path], levels[following] + 1)
        else:
            place[following] = len(stack)
            levels[following] = 1
            stack.append((following, _reached(program, following)))
        if levels[path] > POLICY_RULES_DEEP_MAX:
            reason = f"builds on more than {POLICY_RULES_DEEP_MAX} rules in a row"
            _refuse_rule(program, path, reason)


def _reached(program: Program, path: Path) -> Iterator[Path]:
    """Yield the rules that a rule refers to, each once."""
    seen: set[Path] = set()
    for module, rule in program.rules[path]:
        arguments = {name.root for name in references(_arguments(rule))} - {"data"}
        for name in references(_inside(rule)):
            if name.root in arguments:  # it hides a rule that is called the same
                continue
            for meaning in program.meanings(module, name):
                for found in program.related(meaning):
                    if found not in seen:
                        seen.add(found)
                        yield found


def _arguments(rule: Node) -> Node:
    """Return the plain variables among a function's arguments."""
    if "Default" in rule:
        return [argument for argument in rule["Default"]["args"] if "Var" in argument]
    function = rule["Spec"]["head"].get("Func") or {"args": ()}
    return [argument for argument in function["args"] if "Var" in argument]


def _inside(rule: Node) -> Node:
    """Return a rule without its own name, which is no reference to itself."""
    if "Default" in rule:
        return rule["Default"]["value"]
    spec = rule["Spec"]
    (head,) = spec["head"].values()
    parts = [value for key, value in head.items() if key not in ("refr", "span")]
    index = head["refr"].get("RefBrack", {}).get("index", ())
    return [parts, index, spec["bodies"]]


def _functions(node: Mapping[str, Any]) -> Iterator[tuple[Reference, int]]:
    """Yield what a node calls, or puts in the place of another function."""
    if "Call" in node:
        name = reference(node["Call"]["fcn"])
        if name is not None:
            yield name, node["Call"]["span"]["line"]
    for change in node.get("with_mods") or ():
        name = reference(change["as"])
        if name is not None and _problem(".".join((name.root, *name.fields)), node):
            yield name, node["span"]["line"]


def _problem(word: str, node: Mapping[str, Any]) -> str | None:
    """Return why a node may not call the function `word`, or None where it may."""
    if word in REFUSED:
        return ": a policy does not reach outside"
    if word in UNBOUNDED:
        return ": its work has no bound"
    return _problem_of_format(node) if word == _FORMAT else None


def _problem_of_format(node: Mapping[str, Any]) -> str | None:
    if "Call" not in node:
        return " in the place of another: its format could be anything"
    first: Node = next(iter(node["Call"]["params"]), {})
    text = first.get("RawString", first.get("String", {})).get("value")
    if not isinstance(text, str):
        return " with a format that is not a literal: a width in it would have no bound"
    if _WIDE.search(text):
        return f" with a width of more than {POLICY_FORMAT_DIGITS_MAX} digits"
    return None


def _is_rule(program: Program, module: Module, name: Reference) -> bool:
    return any(
        path[: len(rule)] == rule
        for path in program.meanings(module, name)
        for rule in program.related(path)
    )


def _nodes(start: Any) -> Iterator[dict[str, Any]]:
    todo = [start]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            yield node
            todo.extend(node.values())
        elif isinstance(node, list | tuple):
            todo.extend(node)


def _refuse_rule(program: Program, path: Path, reason: str) -> NoReturn:
    module, node = program.rules[path][0]
    (kind,) = node.values()
    _refuse(f"rule {path[-1]}: {reason}", module, kind["span"]["line"])


def _refuse(reason: str, module: Module, line: int) -> NoReturn:
    raise PolicyLoadError(reason, file=module.file, line=line)
