"""The console's types, made from the types of the operations it calls.

Rule: bus/console/src/api.ts is what this module makes, to the letter, and a test says
so. `python -m tests.console.typescript` writes it anew.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import NODEFAULT, inspect

from bus.edge.http.session import SessionAnswer, SignIn
from bus.edge.messaging.desk import Desk
from bus.edge.messaging.kept import Kept
from bus.edge.node import Node
from bus.edge.operator.answers import LiveRow, Missed, News, Nothing, Point
from tests.fakes import nodes

FILE = Path(__file__).parents[2] / "bus" / "console" / "src" / "api.ts"
HEAD = (
    "// Made by `python -m tests.console.typescript` from the operations of the node.\n"
    "// Not written by hand: a test compares.\n"
)
PLAIN: Mapping[type[inspect.Type], str] = {
    inspect.AnyType: "unknown",
    inspect.BoolType: "boolean",
    inspect.FloatType: "number",
    inspect.IntType: "number",
    inspect.NoneType: "null",
    inspect.StrType: "string",
}


class Written:
    """Interfaces by name, each written once. Two structs of one name are a fault."""

    def __init__(self) -> None:
        self.interfaces: dict[str, str] = {}
        self._of: dict[str, type] = {}

    def name(self, of: inspect.Type, *, asked: bool) -> str:
        """Return the TypeScript type of `of`; what is asked may leave defaults out."""
        match of:
            case inspect.StructType():
                return self._struct(of, asked=asked)
            case inspect.LiteralType():
                return " | ".join(f'"{value}"' for value in of.values)
            case inspect.UnionType():
                return " | ".join(self.name(part, asked=asked) for part in of.types)
            case inspect.Metadata():
                return self.name(of.type, asked=asked)
            case _:
                return self._collection(of, asked=asked)

    def _collection(self, of: inspect.Type, *, asked: bool) -> str:
        match of:
            case inspect.VarTupleType() | inspect.ListType():
                item = self.name(of.item_type, asked=asked)
                return f"({item})[]" if "|" in item else f"{item}[]"
            case inspect.DictType():
                return f"Record<string, {self.name(of.value_type, asked=asked)}>"
            case _:
                return PLAIN[type(of)]

    def _struct(self, of: inspect.StructType, *, asked: bool) -> str:
        name = of.cls.__name__
        if name in self._of:
            assert self._of[name] is of.cls, f"two structs are called {name}"
            return name
        self._of[name] = of.cls
        lines = [self._field(field, asked=asked) for field in of.fields]
        fields = "".join(f"  {line};\n" for line in lines)
        self.interfaces[name] = f"export interface {name} {{\n{fields}}}\n"
        return name

    def _field(self, field: inspect.Field, *, asked: bool) -> str:
        made = (field.default, field.default_factory) != (NODEFAULT, NODEFAULT)
        optional = not field.required and (asked or not made)  # unset, it is left out
        name = self.name(field.type, asked=asked)
        return f"{field.encode_name}{'?' * optional}: {name}"


class Row(msgspec.Struct, frozen=True):
    """What is asked of a method and path, and what it answers."""

    method: str
    path: str
    asks: type[Any]
    answers: Any


SESSION = (
    Row("POST", "/v1/session", SignIn, SessionAnswer),
    Row("GET", "/v1/session", Nothing, SessionAnswer),
    Row("DELETE", "/v1/session", Nothing, None),
)
STREAMED = (LiveRow, Missed, News, Point)
"""The data of events, which no operation answers."""


def rows(node: Node) -> tuple[Row, ...]:
    """Return what the console may call: what operators do, and look at messages with."""
    desk = Desk(node.gate, node.connections, Kept(node.gate).host.crew.start)
    looks = [row for row in desk.operations if row.path.startswith("/v1/messages/{id}")]
    operations = (*node.office.operations(), *looks)
    return (
        *SESSION,
        *(Row(row.method, row.path, row.asks, row.answers) for row in operations),
    )


def source(asked: Iterable[Row]) -> str:
    """Return the text of api.ts."""
    written = Written()
    table = ""
    for row in sorted(asked, key=lambda row: (row.path, row.method)):
        asks = written.name(inspect.type_info(row.asks), asked=True)
        answers = "void"
        if row.answers is not None:
            answers = written.name(inspect.type_info(row.answers), asked=False)
        name = f"{row.method} {row.path}"
        table += f'  "{name}": {{ asks: {asks}; answers: {answers} }};\n'
    for data in STREAMED:
        written.name(inspect.type_info(data), asked=False)
    interfaces = "\n".join(text for _, text in sorted(written.interfaces.items()))
    return f"{HEAD}\n{interfaces}\nexport interface Operations {{\n{table}}}\n"


if __name__ == "__main__":
    FILE.write_text(source(rows(nodes.new_node())), encoding="utf-8")
