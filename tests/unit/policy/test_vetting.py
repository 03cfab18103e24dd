"""What is refused at load, because the engine would notice late or never."""

import pytest

from bus.core.errors import PolicyLoadError
from bus.core.limits import POLICY_RULES_DEEP_MAX
from policy.engine import Engine
from policy.source import Source


def load(rules: str, data: str = "{}", package: str = "a") -> Engine:
    """Load one file."""
    return Engine([Source("a.rego", f"package {package}\n{rules}\n")], data)


@pytest.mark.parametrize(
    "data",
    [
        '{"bus": {"authz": {"allow": true}}}',
        '{"bus": {"authz": {}}}',
        '{"bus": {"authz": 1}}',
        '{"bus": 1}',
        '{"bus": null}',
    ],
)
def test_data_may_not_overlap_a_package(data: str) -> None:
    """Guard: pushed data makes `default allow := false` true."""
    with pytest.raises(PolicyLoadError, match="overlap"):
        load("default allow := false", data, package="bus.authz")


def test_data_beside_a_package_is_fine() -> None:
    """Only what would override is refused."""
    asked = load("x := data.bus.other", '{"bus": {"other": 1}}', package="bus.authz")
    assert asked.evaluate("data.bus.authz.x", "{}") == "1"


@pytest.mark.parametrize(
    "call",
    ["nosuch(1)", "foo.bar(1)", "data.b.f(1)", "io.jwt.decode_verify(input.t, {})"],
)
def test_a_function_that_is_not_there_is_refused(call: str) -> None:
    """Guard: the engine would fail the first message that reaches it, not the load."""
    with pytest.raises(PolicyLoadError, match="there is no function") as refused:
        load(f"default x := 1\n\nx := 2 if {{\n\tinput.never\n\t{call}\n}}")
    assert (refused.value.file, refused.value.line) == ("a.rego", 6)


@pytest.mark.parametrize(
    "rule",
    [
        'x := http.send({"url": "u", "method": "get"})',
        "x := opa.runtime()",
        'x := net.lookup_ip_addr("a")',
        "x if { count([1]) with count as http.send }",
    ],
)
def test_doors_to_the_outside_are_refused(rule: str) -> None:
    """Guard: `http.send` is a stub that is undefined, which may look like a deny."""
    with pytest.raises(PolicyLoadError, match="may not be called"):
        load(rule)


@pytest.mark.parametrize(
    "rule",
    [
        "x := numbers.range(1, 3)",
        "x if { some y in numbers.range_step(1, input.n, 1); y > 2 }",
        "x := input.a[numbers.range(1, 2)[0]]",
        "x := net.cidr_expand(input.network)",
        "x := bits.lsh(1, input.n)",
        "x := units.parse(input.size)",
        "x := units.parse_bytes(input.size)",
        "x := graph.reachable_paths(data.graph, {input.from})",
        "x := json.patch(input.document, input.patches)",
        "f(n) := numbers.range(1, n)",
        "x if { count([1]) with count as numbers.range }",
    ],
)
def test_work_without_a_bound_is_refused(rule: str) -> None:
    """Guard: 30 bytes of a message would stop every agent's bus for hours."""
    with pytest.raises(PolicyLoadError, match="its work has no bound") as refused:
        load(rule)
    assert refused.value.line == 2


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("x := sprintf(input.format, [1])", "not a literal"),
        ('x := sprintf("%1000d", [1])', "width"),
        ('x := sprintf("a %s, %-01000d", ["b", 1])', "width"),
        ("x := sprintf(`%1000d`, [1])", "width"),
        ('x := sprintf("\\u00251000d", [1])', "width"),
        ("x if { count([1]) with count as sprintf }", "in the place of another"),
    ],
)
def test_a_format_without_a_bound_is_refused(rule: str, why: str) -> None:
    """Guard: a width of ten digits ends the process, for want of memory."""
    with pytest.raises(PolicyLoadError, match=f"sprintf may not be called.*{why}"):
        load(rule)


def test_an_ordinary_format_is_fine() -> None:
    """Text beside a verb may hold any number."""
    asked = load('x := sprintf("error 12345: %3d of %s", [7, "8"])')
    assert asked.evaluate("data.a.x", "{}") == '"error 12345:   7 of 8"'


def test_functions_of_the_policy_and_of_other_packages_are_found() -> None:
    """Local, by path, by import and by alias."""
    files = [
        Source("b.rego", "package b.c\nf(x) := x + 1"),
        Source(
            "a.rego",
            "package a\nimport data.b.c\nimport data.b.c as other\n"
            "g(x) := x\n"
            "x := [g(1), c.f(1), other.f(1), data.b.c.f(1), count([1])]",
        ),
    ]
    assert Engine(files, "{}").evaluate("data.a.x", "{}") is not None


@pytest.mark.parametrize(
    "rules",
    [
        "f(x) := f(x)",
        "f(x) := g(x)\ng(x) := f(x)",
        "f(x) := r\nr := f(1)",
        "f(x) := data.a.f(x)",
        "f(x) := [y | y := f(x)]",
        "f(x) := 1 if true else := f(x)",
        'f(x) := data[input.k]["a"]',
    ],
)
def test_a_function_that_reaches_itself_is_refused(rules: str) -> None:
    """Guard: the engine does not notice and the process dies of a full stack."""
    with pytest.raises(PolicyLoadError, match="reaches itself") as refused:
        load(rules)
    assert refused.value.line > 1


def test_rules_that_build_on_too_many_others_are_refused() -> None:
    """Guard: at a thousand in a row the process dies of a full stack."""

    def chain(length: int) -> str:
        return "x1 := 1\n" + "".join(
            f"x{n} := x{n - 1}\n" for n in range(2, length + 1)
        )

    load(chain(POLICY_RULES_DEEP_MAX))
    backwards = "\n".join(reversed(chain(POLICY_RULES_DEEP_MAX + 1).splitlines()))
    for rules in (chain(POLICY_RULES_DEEP_MAX + 1), backwards):
        with pytest.raises(PolicyLoadError, match="in a row"):
            load(rules)


def test_a_local_name_is_not_recursion() -> None:
    """A variable that is called like its own rule is none of the rule."""
    load("x := [x | some x in [1]]\nf(y) := [y | some y in [1]]")
