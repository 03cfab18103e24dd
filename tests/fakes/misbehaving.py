"""Policies that misbehave on some subjects, and what every engine says on them."""

from typing import Any, Final

from bus.core.decision import Decision
from bus.ports import Authorizer
from policy.bundle import Bundle
from policy.source import Source
from tests.fakes import policies
from tests.fakes.engines import ENGINES
from tests.fakes.policies import authz, message

YES: Final = '{"allow": true, "reasons": [], "obligations": []}'
MANY: Final = {
    **policies.AGENTS,
    "text": "x" * 65_536,
    "forty": list(range(40)),
}

# By the subject that provokes it: the rules, the fault, and a piece of the reason.
CASES: Final[dict[str, tuple[tuple[str, ...], str, str]]] = {
    "no.rule": ((), "undefined", "answered nothing"),
    "bool": (("true",), "unusable", "no decision"),
    "one": (("1",), "unusable", "no decision"),
    "nil": (("null",), "unusable", "no decision"),
    "list": (("[true]",), "unusable", "no decision"),
    "word": (('"allow"',), "unusable", "no decision"),
    "empty": (("{}",), "unusable", "no decision"),
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
        "obligation of an unknown type",
    ),
    "duty.nameless": (
        ('{"allow": true, "obligations": [{"seconds": 1}]}',),
        "unusable",
        "obligation of an unknown type",
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
