"""Policies that misbehave, over every engine: none lets a message in by doing so.

Where engines differ by their nature, the name of the test says it.
"""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from bus.core.decision import Decision
from bus.core.errors import PolicyLoadError
from bus.ports import Authorizer
from policy.bundle import Bundle, Origin
from policy.source import Source
from tests.fakes import policies
from tests.fakes.engines import ENGINES, Ready
from tests.fakes.messages import NOW_NS
from tests.fakes.opa_process import free_port
from tests.fakes.policies import authz, message
from tests.parts import require

YES: Final = '{"allow": true, "reasons": [], "obligations": []}'
OPA_ENDS_S: Final = 30.0
MANY: Final = {
    **policies.AGENTS,
    "text": "x" * 65_536,
    "forty": list(range(40)),
}
HERE: Final = [name for name in ENGINES if name != "opa"]  # they load policy themselves
every_engine = pytest.mark.parametrize("ready", ENGINES.values(), ids=ENGINES)
every_loader = pytest.mark.parametrize(
    "ready", [ENGINES[name] for name in HERE], ids=HERE
)

# By the subject that provokes it: the rules, the fault, and a piece of the reason.
CASES: Final[dict[str, tuple[tuple[str, ...], str, str]]] = {
    "no.rule": ((), "undefined", "answered nothing"),
    "bool": (("true",), "unusable", "no decision"),
    "one": (("1",), "unusable", "no decision"),
    "nil": (("null",), "unusable", "no decision"),
    "list": (("[true]",), "unusable", "no decision"),
    "word": (('"allow"',), "unusable", "no decision"),
    "empty": (("{}",), "unusable", "no decision"),
    "pretender": (('"<undefined>"',), "unusable", "no decision"),
    "allow.word": (('{"allow": "true"}',), "unusable", "no decision"),
    "allow.one": (('{"allow": 1}',), "unusable", "no decision"),
    "allow.nil": (('{"allow": null}',), "unusable", "no decision"),
    "allow.list": (('{"allow": [true]}',), "unusable", "no decision"),
    "allow.set": (('{"allow": {true}}',), "unusable", "no decision"),
    "reasons.word": (('{"allow": true, "reasons": "no"}',), "unusable", "no decision"),
    "duty.word": (
        ('{"allow": true, "obligations": ["redact"]}',),
        "unusable",
        "no decision",
    ),
    "duty.unknown": (
        ('{"allow": true, "obligations": [{"type": "shred"}]}',),
        "unusable",
        "obligation 'shred'",
    ),
    "duty.nameless": (
        ('{"allow": true, "obligations": [{"seconds": 1}]}',),
        "unusable",
        "obligation None",
    ),
    "duty.wrong": (
        ('{"allow": true, "obligations": [{"type": "ttl", "seconds": "soon"}]}',),
        "unusable",
        "obligation 'ttl'",
    ),
    "duty.more": (
        ('{"allow": true, "obligations": [{"type": "ttl", "seconds": 1, "x": 1}]}',),
        "unusable",
        "obligation 'ttl'",
    ),
    "clash": ((YES, '{"allow": false}'), "evaluation", "could not be evaluated"),
    "clash.keys": (
        ('{"allow": {"a": v | some v in [true, false]}.a}',),
        "evaluation",
        "could not be evaluated",
    ),
    "zero": (
        ('{"allow": 1 / input.message.depth > 0}',),
        "evaluation",
        "could not be evaluated",
    ),
    "number": (
        ('{"allow": to_number(input.message.subject) > 0}',),
        "evaluation",
        "could not be evaluated",
    ),
    "negated": (
        ('{"allow": true} if not to_number(input.message.subject) == 1',),
        "evaluation",
        "could not be evaluated",
    ),
    "helper": (('{"allow": helper}',), "evaluation", "could not be evaluated"),
    "huge": (
        ('{"allow": true, "more": [data.text | data.forty[_]]}',),
        "oversize",
        "oversize",
    ),
    "deep": (('{"allow": true, "more": deepest}',), "oversize", "oversize"),
}
HELPERS: Final = (
    "helper if 10 % input.message.depth == 0",
    *(f"deep{n + 1} := [[[[[[[[deep{n}]]]]]]]]" for n in range(17)),
    "deep0 := 1",
    "deepest := deep17",
)


def misbehaving() -> str:
    """Return the policy of all cases, and of one subject that is simply allowed."""
    rules = [f'decision := {YES} if input.message.subject == "good"']
    for subject, (answers, _, _) in CASES.items():
        for answer in answers:
            head, _, condition = answer.partition(" if ")
            asked = f'input.message.subject == "{subject}"'
            if condition:
                asked += f"; {condition}"
            rules.append(f"decision := {head} if {{ {asked} }}")
    return authz(*rules, *HELPERS)


def bundle(*texts: str, data: dict[str, Any] | None = None) -> Bundle:
    """Return a bundle of these files."""
    found = dict(policies.AGENTS) if data is None else data
    sources = tuple(Source(f"{n}.rego", text) for n, text in enumerate(texts))
    return Bundle(sources, found, "data.json", built_in=False)


async def each(
    asked: Authorizer, *subjects: str, **changes: Any
) -> dict[str, Decision]:
    """Return the decision on each subject."""
    return {
        subject: await asked.decide("publish", message(subject=subject, **changes))
        for subject in subjects
    }


async def over_all(given: Bundle, *subjects: str, **changes: Any) -> dict[str, Any]:
    """Return, by engine, what it answers on each subject."""
    found: dict[str, Any] = {}
    for name, ready in ENGINES.items():
        async with ready(given) as asked:
            made = await each(asked, *subjects, **changes)
        found[name] = {
            subject: (d.allow, d.reasons, d.obligations, d.digest, d.fault)
            for subject, d in made.items()
        }
    return found


@every_engine
async def test_whatever_a_policy_does_wrong_denies_with_its_fault(ready: Ready) -> None:
    """The same faults on every engine, each counted; and it goes on deciding."""
    async with ready(bundle(misbehaving(), data=MANY)) as asked:
        made = await each(asked, *CASES)
        found = {subject: (d.allow, d.fault) for subject, d in made.items()}
        assert found == {s: (False, fault) for s, (_, fault, _) in CASES.items()}
        for subject, (_, _, reason) in CASES.items():
            assert reason in made[subject].reasons[0], subject
        counted = asked.stats().faults
        wanted = [fault for _, fault, _ in CASES.values()]
        assert counted == {kind: wanted.count(kind) for kind in counted}
        assert (await each(asked, "good"))["good"].allow


@every_engine
async def test_what_went_wrong_is_never_kept(ready: Ready) -> None:
    """The next one who asks has it evaluated anew; what policy itself said is kept."""
    async with ready(bundle(misbehaving(), data=MANY)) as asked:
        for _ in range(2):
            made = await each(asked, *CASES)
            assert not any(d.cached for d in made.values())
        assert asked.stats().size == 0
        assert [(await each(asked, "good"))["good"].cached for _ in range(2)] == [
            False,
            True,
        ]


async def test_reasons_of_what_is_no_decision_are_the_same_on_every_engine() -> None:
    """But for what failed inside an engine, which says it in its own words."""
    own_words = {"evaluation", "oversize"}
    told = [s for s, (_, fault, _) in CASES.items() if fault not in own_words]
    found = await over_all(bundle(misbehaving(), data=MANY), *told)
    assert found["isolated"] == found["embedded"]
    assert found["opa"] == found["embedded"]


@every_engine
async def test_a_policy_that_reads_the_whole_input_is_asked_for_every_message(
    ready: Ready,
) -> None:
    """Its decisions are kept under all of it, so that no two messages share one."""
    text = authz(f"decision := {YES} if count(object.keys(input)) == 3")
    async with ready(bundle(text)) as asked:
        first = await asked.decide("publish", message(id=b"1" * 16))
        again = await asked.decide("publish", message(id=b"1" * 16))
        other = await asked.decide("publish", message(id=b"2" * 16))
        assert (first.allow, again.allow, other.allow) == (True, True, True)
        assert (again.cached, other.cached) == (True, False)
        assert first.digest == again.digest != other.digest


@every_engine
async def test_a_policy_that_looks_at_the_clock_is_never_kept(ready: Ready) -> None:
    """Its answer may differ the next time, even for the same message."""
    text = authz(f"decision := {YES} if time.now_ns() > 0")
    async with ready(bundle(text)) as asked:
        for _ in range(3):
            made = await asked.decide("publish", message())
            assert (made.allow, made.cached) == (True, False)
        assert (asked.stats().misses, asked.stats().size) == (3, 0)


async def test_text_of_any_script_is_the_same_text_on_every_engine() -> None:
    """Equal only code point by code point; counted, cut and matched as such."""
    subjects = ("r\u00e9sum\u00e9", "re\u0301sume\u0301", "\u2603.\U0001f600", "\u4f60")
    text = authz(
        'decision := {"allow": known, "reasons": reasons, "obligations": []}',
        "default known := false",
        'known if input.message.subject == "r\u00e9sum\u00e9"',
        "s := input.message.subject",
        "reasons := [s, substring(s, 0, 1), format_int(count(s), 10), letters]",
        'letters := sprintf("%v %v", [regex.match(`^\\p{L}+$`, s), split(s, ".")])',
    )
    found = await over_all(bundle(text), *subjects)
    assert found["isolated"] == found["embedded"]
    assert found["opa"] == found["embedded"]
    allowed = {s for s, (allow, *_) in found["opa"].items() if allow}
    assert allowed == {"r\u00e9sum\u00e9"}


async def test_an_agent_without_roles_has_none_on_every_engine() -> None:
    """An empty list, whether the data says so or says nothing."""
    data = {
        "agents": {
            "planner": {"tenant": "acme", "roles": []},
            "worker": {"tenant": "acme"},
        }
    }
    text = authz(
        f"decision := {YES} if input.principal.roles == []",
        'decision := {"allow": false, "reasons": ["has roles"]}'
        " if count(input.principal.roles) > 0",
    )
    for sender in ("planner", "worker"):
        found = await over_all(bundle(text, data=data), "a", sender=sender)
        assert found["isolated"] == found["opa"] == found["embedded"]
        assert found["opa"]["a"][0] is True
    lone = policies.data()
    lone["agents"]["planner"]["roles"] = []
    built_in = await asyncio.to_thread(Origin(lone).read)
    found = await over_all(built_in, "tasks.a")
    assert found["isolated"] == found["opa"] == found["embedded"]
    assert found["opa"]["tasks.a"][0] is False


@every_engine
async def test_files_that_include_each_other_decide(ready: Ready) -> None:
    """A circle of imports is none of rules."""
    entry = authz(
        "import data.other",
        f"decision := {YES} if other.granted",
        'name := "tasks.a"',
    )
    other = (
        "package other\n\nimport data.assent.authz\n\n"
        "granted if input.message.subject == authz.name\n"
    )
    async with ready(bundle(entry, other)) as asked:
        made = await each(asked, "tasks.a", "tasks.b")
    assert made["tasks.a"].allow
    assert made["tasks.b"].fault == "undefined"


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
        "complete rule",
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
async def test_a_server_refuses_by_itself_to_start_with(
    tmp_path: Path, what: str
) -> None:
    """Its policy is loaded by it and not by us; there is then nobody to ask."""
    given, _, own = REFUSED[what]
    assert own in await refused_by_opa(tmp_path, written(tmp_path, given))


@every_loader
async def test_rules_in_a_circle_deny_when_they_are_reached(ready: Ready) -> None:
    """On the engines that look at a rule when it is asked for."""
    async with ready(bundle(CYCLE)) as asked:
        made = await each(asked, "cycle", "good")
    assert (made["cycle"].allow, made["cycle"].fault) == (False, "evaluation")
    assert "recursion" in made["cycle"].reasons[0]
    assert made["good"].allow


@pytest.mark.integration
async def test_rules_in_a_circle_keep_a_server_from_starting(tmp_path: Path) -> None:
    """OPA looks at all rules when it loads them."""
    files = written(tmp_path, bundle(CYCLE))
    assert "rego_recursion_error" in await refused_by_opa(tmp_path, files)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("authz.rego", b"package assent.authz\n\nx := \"\xff\xfe\"\n", ":3: not UTF-8"),
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
        ("authz.rego", b"package a\n\nx := \"\xff\xfe\"\n", "illegal utf-8 character"),
        ("data.json", b'{"agents": {}, "x": NaN}', "invalid character 'N'"),
        ("data.json", b'{"agents": {}, "x": -Infinity}', "invalid character 'I'"),
    ],
)
async def test_a_server_refuses_by_itself_files_that_are(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    """Not UTF-8, or not JSON."""
    place = tmp_path / name
    place.write_bytes(content)
    assert told in await refused_by_opa(tmp_path, [str(place)])


async def test_numbers_of_64_bits_are_exact_on_every_engine() -> None:
    """A message's times are such numbers."""
    data = {**policies.AGENTS, "most": (1 << 64) - 1, "near": NOW_NS + 1}
    text = authz(
        f"decision := {YES} if {{ input.message.created_ns + 1 == data.near;"
        " data.most == 18446744073709551615; data.most != data.most - 1 }"
    )
    found = await over_all(bundle(text, data=data), "a", created_ns=NOW_NS)
    assert found["isolated"] == found["opa"] == found["embedded"]
    assert found["opa"]["a"][0] is True


async def test_past_64_bits_opa_compares_what_our_engine_rounds() -> None:
    """By nature: ours makes a float of such text; written as numbers both tell them."""
    one, other = "18446744073709551616", "18446744073709551617"
    text = authz(
        'decision := {"allow": false, "reasons": reasons}',
        f'reasons contains "literal" if {one} == {other}',
        f'reasons contains "text" if to_number("{one}") == to_number("{other}")',
        'reasons contains "always"',
    )
    found = await over_all(bundle(text), "a")
    told = {name: set(answers["a"][1]) for name, answers in found.items()}
    assert told["opa"] == {"always"}
    assert told["embedded"] == told["isolated"] == {"always", "text"}


async def test_letters_that_change_length_with_their_case_differ_by_nature() -> None:
    """Ours follows Unicode's special casing, OPA maps letter by letter."""
    text = authz(
        'decision := {"allow": false, "reasons": [upper(input.message.subject)]}'
    )
    found = await over_all(bundle(text), "stra\u00dfe", "\u00e9t\u00e9")
    told = {
        name: [answers[s][1] for s in ("stra\u00dfe", "\u00e9t\u00e9")]
        for name, answers in found.items()
    }
    assert told["opa"] == [("STRA\u00dfE",), ("\u00c9T\u00c9",)]
    assert told["embedded"] == told["isolated"] == [("STRASSE",), ("\u00c9T\u00c9",)]


@pytest.mark.parametrize("form", ["rules", "data"])
async def test_a_reason_with_half_a_character_reaches_nobody(form: str) -> None:
    """An escape of half a surrogate pair is text nowhere."""
    half = '"\\ud800"'
    data: dict[str, Any] = {**policies.AGENTS, "half": "\ufffd"}
    said = half if form == "rules" else "data.half"
    text = authz(f'decision := {{"allow": false, "reasons": [{said}]}}')
    for ready in ENGINES.values():
        try:
            async with ready(bundle(text, data=data)) as asked:
                made = await asked.decide("publish", message())
        except PolicyLoadError as refused:
            assert form == "rules", refused
            continue
        assert not made.allow
        made.reasons[0].encode()


def written(place: Path, given: Bundle) -> list[str]:
    """Write a bundle as files for a server; return their paths."""
    for file in given.sources:
        (place / file.name).write_text(file.text)
    (place / "data.json").write_text(json.dumps(given.data))
    return [str(path) for path in sorted(place.iterdir())]


async def refused_by_opa(place: Path, files: list[str]) -> str:
    """Start a server that has to end by itself; return what it said."""
    program = await asyncio.to_thread(require, "opa")
    ended = await asyncio.create_subprocess_exec(
        program,
        "run",
        "--server",
        f"--addr=127.0.0.1:{free_port()}",
        "--log-level=error",
        "--disable-telemetry",
        *files,
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(OPA_ENDS_S):
            _, told = await ended.communicate()
    except TimeoutError:
        ended.kill()
        await ended.wait()
        pytest.fail("OPA took it")
    assert ended.returncode != 0
    return told.decode()
