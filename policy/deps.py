"""What a rule can read, from its syntax: input fields, data, built-in functions.

Rule: conservative. A computed step widens to everything below it, a bare `input` to
the whole input; a rule is followed wherever its path could be meant.
"""

from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from policy.syntax import Module, Path, Program, Reference, references

# Built-in functions whose answer may differ for the same input (OPA: nondeterministic).
VOLATILE: Final = frozenset(
    {
        "http.send",
        "io.jwt.decode_verify",
        "io.jwt.encode_sign",
        "io.jwt.encode_sign_raw",
        "net.lookup_ip_addr",
        "opa.runtime",
        "rand.intn",
        "time.now_ns",
        "uuid.rfc4122",
    }
)


class Dependencies(msgspec.Struct, frozen=True):
    """What a rule can read. `input` holds paths without one another's prefixes.

    `input` is None if the rule reads the input as a whole.
    """

    input: frozenset[Path] | None
    data: frozenset[Path]
    builtins: frozenset[str]

    @property
    def volatile(self) -> frozenset[str]:
        """The built-in functions reached whose answers may not be kept."""
        return self.builtins & VOLATILE


def dependencies(
    program: Program, entry: str, builtins: AbstractSet[str]
) -> Dependencies:
    """Return what the rule at `entry` (`data.a.b`) can read, directly or through rules."""
    walk = _Walk(program, builtins)
    walk.follow(tuple(entry.split(".")))
    whole = () in walk.input
    outermost = frozenset(
        path
        for path in walk.input
        if not any(path[:length] in walk.input for length in range(1, len(path)))
    )
    return Dependencies(
        None if whole else outermost, frozenset(walk.data), frozenset(walk.builtins)
    )


class _Walk:
    """Follows rules through their references, each rule once."""

    __slots__ = ("_known", "_program", "_seen", "_todo", "builtins", "data", "input")

    def __init__(self, program: Program, builtins: AbstractSet[str]) -> None:
        self._program = program
        self._known = builtins | VOLATILE
        self._seen: set[Path] = set()
        self._todo: list[Path] = []
        self.input: set[Path] = set()
        self.data: set[Path] = set()
        self.builtins: set[str] = set()

    def follow(self, entry: Path) -> None:
        """Walk the rules at `entry` and every rule they reach."""
        self._todo.extend(self._program.related(entry))
        while self._todo:
            path = self._todo.pop()
            if path in self._seen:
                continue
            self._seen.add(path)
            for module, node in self._program.rules[path]:
                for name in references(node):
                    self._refer(module, name)

    def _refer(self, module: Module, name: Reference) -> None:
        for path in self._program.meanings(module, name):
            self._read(path)
        # A function may be named without a call, as in `with f as time.now_ns`.
        word = ".".join((name.root, *name.fields))
        if word in self._known:
            self.builtins.add(word)

    def _read(self, path: Path) -> None:
        if path[0] == "input":
            self.input.add(path[1:])
            return
        found = list(self._program.related(path))
        self._todo.extend(found)
        # A path above a rule, such as `data` itself, reads base documents as well.
        if not any(path[: len(rule)] == rule for rule in found):
            self.data.add(path[1:])
