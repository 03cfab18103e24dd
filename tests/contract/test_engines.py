"""Policies that misbehave, over every engine: none lets a message in by doing so.

Where engines differ by their nature, the name of the test says it.
"""

import asyncio
from typing import Final

import pytest

from bus.core.errors import PolicyLoadError
from policy.bundle import Origin
from tests.fakes import policies
from tests.fakes.engines import ENGINES, Ready
from tests.fakes.messages import NOW_NS
from tests.fakes.misbehaving import (
    CASES,
    MANY,
    YES,
    bundle,
    each,
    misbehaving,
    over_all,
)
from tests.fakes.policies import authz, message

HERE: Final = [name for name in ENGINES if name != "opa"]  # they load policy themselves
every_engine = pytest.mark.parametrize("ready", ENGINES.values(), ids=ENGINES)
every_loader = pytest.mark.parametrize(
    "ready", [ENGINES[name] for name in HERE], ids=HERE
)


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
    subjects = ("r\u00e9sum\u00e9", "re\u0301sume\u0301", "\u2603.\u00e9", "\u4f60")
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


async def test_a_policy_that_says_undefined_is_denied_by_whichever_name() -> None:
    """By nature: our engine says it with a word, which a policy may say as well."""
    found = await over_all(
        bundle(authz('decision := "<undefined>" if input.message')), "a"
    )
    told = {name: (answers["a"][0], answers["a"][4]) for name, answers in found.items()}
    ours = (False, "undefined")
    assert told == {"embedded": ours, "isolated": ours, "opa": (False, "unusable")}


@every_engine
async def test_files_that_include_each_other_decide(ready: Ready) -> None:
    """A circle of files is none of rules."""
    entry = authz(
        "import data.other.granted",
        f"decision := {YES} if granted",
        'name := "tasks.a"',
    )
    other = (
        "package other\n\nimport data.assent.authz.name\n\n"
        "granted if input.message.subject == name\n"
    )
    async with ready(bundle(entry, other)) as asked:
        made = await each(asked, "tasks.a", "tasks.b")
    assert made["tasks.a"].allow
    assert made["tasks.b"].fault == "undefined"


@every_loader
async def test_engines_of_ours_refuse_packages_imported_whole_in_a_circle(
    ready: Ready,
) -> None:
    """By nature: to OPA only rules make a circle, to our engine packages do as well."""
    entry = authz(
        "import data.other",
        f"decision := {YES} if other.granted",
        'name := "tasks.a"',
    )
    other = (
        "package other\n\nimport data.assent.authz\n\n"
        "granted if input.message.subject == authz.name\n"
    )
    with pytest.raises(PolicyLoadError, match="recursion detected"):
        async with ready(bundle(entry, other)):
            pytest.fail("it was loaded")
    async with ENGINES["opa"](bundle(entry, other)) as asked:
        assert (await each(asked, "tasks.a"))["tasks.a"].allow


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


async def test_the_length_of_rare_characters_differs_by_nature() -> None:
    """Past the first 65,536 ours counts two for what OPA counts as one."""
    text = authz(
        'decision := {"allow": false, "reasons": [said]}',
        "said := format_int(count(input.message.subject), 10)",
    )
    found = await over_all(bundle(text), "\U0001f600", "\u2603")
    told = {
        name: [answers[s][1] for s in ("\U0001f600", "\u2603")]
        for name, answers in found.items()
    }
    assert told["opa"] == [("1",), ("1",)]
    assert told["embedded"] == told["isolated"] == [("2",), ("1",)]


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
