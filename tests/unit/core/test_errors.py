"""Errors: a tree by who must act, a code for each, words and data for each."""

import inspect
import re

import pytest

from bus.core import errors
from bus.core.errors import BusError

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, BusError)
]
# Callers switch on these: one that changes breaks them, so it changes here as well.
CODES = {
    "BusError": "error",
    "ProtocolError": "protocol",
    "MalformedMessageError": "malformed",
    "SubjectError": "bad_subject",
    "BodyTypeError": "bad_body",
    "LimitExceededError": "limit_exceeded",
    "ConstitutionalError": "constitutional",
    "HashMismatchError": "hash_mismatch",
    "StampMismatchError": "stamp_mismatch",
    "UnknownKeyError": "unknown_key",
    "MessageExpiredError": "expired",
    "DeniedError": "denied",
    "UnavailableError": "unavailable",
    "OverloadedError": "overloaded",
    "NoRespondersError": "no_responders",
    "RequestTimeoutError": "timeout",
    "PolicyUnavailableError": "policy_unavailable",
    "AuditStalledError": "audit_stalled",
    "DroppedError": "dropped",
    "UsageError": "usage",
    "BusNotStartedError": "not_started",
    "BusAlreadyStartedError": "already_started",
    "UnknownAgentError": "unknown_agent",
    "HandlerError": "bad_handler",
    "AlreadySettledError": "already_settled",
    "ConfigurationError": "configuration",
    "ConstitutionError": "bad_constitution",
    "KeyRingError": "bad_keys",
    "PolicyLoadError": "bad_policy",
    "AuditBrokenError": "audit_broken",
    "IllegalTransitionError": "illegal_transition",
}


def tree() -> dict[str, str]:
    """Read the tree in the module's docstring: class to the class it stands under."""
    above: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        names = list(re.finditer(r"\b[A-Z]\w+Error\b|\bBusError\b", line))
        for name in names:
            while path and path[-1][0] >= names[0].start():
                path.pop()
            if path:
                above[name[0]] = path[-1][1]
        if len(names) == 1:
            path.append((names[0].start(), names[0][0]))
    return above


@pytest.mark.parametrize("name", CODES)
def test_a_code_stays_what_it_is(name: str) -> None:
    """The code of a class is the one its callers know."""
    assert getattr(errors, name).code == CODES[name]


def test_every_class_has_a_code_of_its_own() -> None:
    """No two classes share a code and none borrows its parent's."""
    assert all("code" in vars(kind) for kind in CLASSES)
    assert len({kind.code for kind in CLASSES}) == len(CLASSES)
    assert {kind.__name__ for kind in CLASSES} >= CODES.keys()


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    """Each class stands in the docstring under the class it derives from."""
    shown = tree()
    assert shown == {
        kind.__name__: kind.__bases__[0].__name__
        for kind in CLASSES
        if kind is not BusError
    }


def test_an_error_carries_its_data() -> None:
    """A caller reads fields, not messages."""
    limit = errors.LimitExceededError("headers", actual=33, allowed=32)
    assert (limit.limit, limit.actual, limit.allowed) == ("headers", 33, 32)
    assert str(limit) == "headers: 33 > 32"
    mismatch = errors.HashMismatchError(actual="a", expected="b")
    assert (mismatch.actual, mismatch.expected) == ("a", "b")
    assert str(mismatch) == "constitution 'a' is not the one in force, b"
    broken = errors.AuditBrokenError("hash", line=7)
    assert (broken.line, broken.reason, str(broken)) == (7, "hash", "line 7: hash")


@pytest.mark.parametrize(
    ("file", "line", "text"),
    [("", 0, "why"), ("a.rego", 0, "a.rego: why"), ("a.rego", 3, "a.rego:3: why")],
)
def test_a_policy_error_names_the_place_it_knows(
    file: str, line: int, text: str
) -> None:
    """File and line stand first where there are any."""
    error = errors.PolicyLoadError("why", file=file, line=line)
    assert (error.reason, error.file, error.line) == ("why", file, line)
    assert str(error) == text
