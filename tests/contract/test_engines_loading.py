"""Policies that cannot be: refused with their place, or by an OPA server itself.

Where engines differ by their nature, the name of the test says it.
"""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from bus.core.errors import PolicyLoadError, PolicyUnavailableError
from policy.bundle import Bundle, Origin
from policy.opa.admin import administer
from tests.fakes import policies
from tests.fakes.engines import ENGINES, Ready
from tests.fakes.misbehaving import YES, bundle, each
from tests.fakes.opa_process import free_port, running_opa
from tests.fakes.policies import authz
from tests.parts import require

OPA_ENDS_S: Final = 30.0
HERE: Final = [name for name in ENGINES if name != "opa"]  # they load policy themselves
every_loader = pytest.mark.parametrize(
    "ready", [ENGINES[name] for name in HERE], ids=HERE
)

INVALID: Final = authz('decision := {"allow": true} if input.x ==')
SHADOW: Final = {
    **policies.AGENTS,
    "assent": {"authz": {"decision": {"allow": True}}},
}
CYCLE: Final = authz(
    f'decision := {YES} if input.message.subject == "good"',
    'decision := {"allow": first} if input.message.subject == "cycle"',
    "first := second",
    "second := first",
)
REFUSED: Final[dict[str, tuple[Bundle, str, str]]] = {
    "invalid Rego": (
        bundle(INVALID),
        r"^0\.rego:\d+: expecting expression \(column \d+",
        "rego_parse_error",
    ),
    "data in a rule's place": (
        bundle(authz(f"decision := {YES}"), data=SHADOW),
        "data would override rules",
        "conflicting rule for data path",
    ),
    "a function that reaches itself": (
        bundle(authz(f"decision := {YES} if f(1)", "f(x) if f(x)")),
        r"^0\.rego:\d+: rule f: a function reaches itself",
        "rego_recursion_error",
    ),
    "a function that is not there": (
        bundle(authz(f"decision := {YES} if unheard.of(1)")),
        r"^0\.rego:\d+: there is no function unheard\.of",
        "rego_type_error: undefined function",
    ),
    "rules that all conflict": (
        bundle(authz(f"decision := {YES}", 'decision := {"allow": false}')),
        r"^0\.rego:\d+: rule conflicts with rule at 0\.rego:3:1",
        "",  # OPA finds it when it is asked
    ),
    "no decision at all": (
        bundle(authz('decision := "yes"')),
        "no decision",
        "",  # OPA does not know what a decision is
    ),
    "brackets nested deep": (
        bundle(authz(f"decision := {YES}", f"x := {'[' * 40}{']' * 40}")),
        r"^0\.rego:\d+: brackets nested deeper than",
        "",  # its parser has room for it
    ),
}


@every_loader
@pytest.mark.parametrize("what", REFUSED)
async def test_engines_of_ours_refuse_to_load(ready: Ready, what: str) -> None:
    """With the file, the line and the offending text where it is known."""
    given, reason, _ = REFUSED[what]
    with pytest.raises(PolicyLoadError, match=reason):
        async with ready(given):
            pytest.fail("it was loaded")


@every_loader
async def test_what_does_not_parse_is_shown_with_its_column(ready: Ready) -> None:
    """An engineer sees the place without opening the file."""
    given = bundle(authz('decision := {"allow": true} if input.x 1'))
    with pytest.raises(PolicyLoadError) as refused:
        async with ready(given):
            pytest.fail("it was loaded")
    assert (refused.value.file, refused.value.line) == ("0.rego", 3)
    assert "(column 40: " in refused.value.reason
    assert "if input.x 1)" in refused.value.reason


@pytest.mark.integration
@pytest.mark.parametrize("what", [w for w, (_, _, own) in REFUSED.items() if own])
def test_a_server_refuses_by_itself_to_start_with(tmp_path: Path, what: str) -> None:
    """Its policy is loaded by it and not by us; there is then nobody to ask."""
    given, _, own = REFUSED[what]
    assert own in refused_by_opa(tmp_path, written(tmp_path, given))


@pytest.mark.integration
async def test_a_server_lets_nobody_put_data_in_a_rules_place(tmp_path: Path) -> None:
    """It refuses by itself, and goes on with its rules."""
    given = bundle(authz('decision := {"allow": false, "reasons": ["no"]}'))
    files = await asyncio.to_thread(written, tmp_path, given)
    over: dict[str, Any] = {"decision": {"allow": True}}
    async with running_opa(*files) as opa, administer(opa.address) as server:
        for place, document in (("assent/authz", over), ("assent", {"authz": over})):
            with pytest.raises((PolicyLoadError, PolicyUnavailableError)):
                await server.put_data(place, document)
        found = await server.data("assent/authz/decision")
    assert found == {"allow": False, "reasons": ["no"]}


@every_loader
async def test_rules_in_a_circle_deny_when_they_are_reached(ready: Ready) -> None:
    """On the engines that look at a rule when it is asked for."""
    async with ready(bundle(CYCLE)) as asked:
        made = await each(asked, "cycle", "good")
    assert (made["cycle"].allow, made["cycle"].fault) == (False, "evaluation")
    assert "a rule failed at 0.rego:" in made["cycle"].reasons[0]
    assert made["good"].allow


@pytest.mark.integration
def test_rules_in_a_circle_keep_a_server_from_starting(tmp_path: Path) -> None:
    """OPA looks at all rules when it loads them."""
    files = written(tmp_path, bundle(CYCLE))
    assert "rego_recursion_error" in refused_by_opa(tmp_path, files)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("authz.rego", b'package assent.authz\n\nx := "\xff\xfe"\n', ":3: not UTF-8"),
        ("data.json", b'{"agents":\n{"\xff": 1}}', ":2: not UTF-8"),
        ("data.json", b'{"agents": {}, "x": NaN}', "NaN is not JSON"),
        ("data.json", b'{"agents": {}, "x": -Infinity}', "-Infinity is not JSON"),
        ("data.json", b'{"agents": {}, "x": 1e999}', "not a number that JSON can"),
        ("data.json", b'{"x": 18446744073709551616}', "more than 64 bits"),
        ("data.json", b'{"x": -9223372036854775809}', "more than 64 bits"),
        ("data.json", b'{"x": ' + b"[" * 300 + b"]" * 300 + b"}", "nested deeper"),
        ("data.json", b'{"x": ' + b"[" * 200_000, "cannot be read|Expecting"),
        ("data.json", b'{"x": 1, "x": 2}', "stands twice"),
        ("data.json", b'["agents"]', "an object at the top"),
    ],
)
def test_files_are_refused_before_any_engine_of_ours_sees_them(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    """Not UTF-8, not JSON, or what an engine would change: with the file that has it."""
    folder = policies.folder(tmp_path / "policy", authz(f"decision := {YES}"))
    Origin(folder=folder).read()
    (folder / name).write_bytes(content)
    with pytest.raises(PolicyLoadError, match=told) as refused:
        Origin(folder=folder).read()
    assert refused.value.file.endswith(name)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("authz.rego", b'package a\n\nx := "\xff\xfe"\n', "illegal utf-8 character"),
        ("data.json", b'{"agents": {}, "x": NaN}', "invalid character 'N'"),
        ("data.json", b'{"agents": {}, "x": -Infinity}', "invalid character 'I'"),
    ],
)
def test_a_server_refuses_by_itself_files_that_are(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    """Not UTF-8, or not JSON."""
    place = tmp_path / name
    place.write_bytes(content)
    assert told in refused_by_opa(tmp_path, [str(place)])


def written(place: Path, given: Bundle) -> list[str]:
    """Write a bundle as files for a server; return their paths."""
    for file in given.sources:
        (place / file.name).write_text(file.text)
    (place / "data.json").write_text(json.dumps(given.data))
    return [str(path) for path in sorted(place.iterdir())]


def refused_by_opa(place: Path, files: list[str]) -> str:
    """Start a server that has to end by itself; return what it said."""
    command = (require("opa"), "run", "--server", f"--addr=127.0.0.1:{free_port()}")
    try:
        ended = subprocess.run(
            [*command, "--disable-telemetry", *files],
            cwd=place,
            capture_output=True,
            timeout=OPA_ENDS_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.fail("OPA took it")
    assert ended.returncode != 0
    return (ended.stdout + ended.stderr).decode(errors="replace")
