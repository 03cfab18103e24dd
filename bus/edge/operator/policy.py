"""The operations about policy, as rows.

Rule: rows only; what they do is in `rulings`, `whys` and `putting`.
"""

from bus.edge.caller import Scope
from bus.edge.operations import Operation
from bus.edge.operator.answers import Nothing, Paged
from bus.edge.operator.policyanswers import (
    Decisions,
    DecisionsAsked,
    Diff,
    DiffAsked,
    Explained,
    PolicyDataRow,
    PolicyRow,
    PutAnswer,
    PutPolicy,
    Question,
    Revisions,
    WhyAsked,
)
from bus.edge.operator.rulings import Rulings
from bus.edge.operator.whys import Whys


def operations(rulings: Rulings, whys: Whys) -> tuple[Operation, ...]:
    """Return the operations about policy."""
    return (
        *_in_force(rulings),
        *_before(rulings),
        *_questions(whys),
        *_writes(rulings),
    )


def _in_force(rulings: Rulings) -> tuple[Operation, ...]:
    return (
        Operation(
            name="get_policy",
            method="GET",
            path="/v1/policy",
            summary="The policy in force, and its rules",
            scope=Scope.OPERATOR,
            asks=Nothing,
            answers=PolicyRow,
            run=rulings.policy,
            errors=("unavailable",),
        ),
        Operation(
            name="get_policy_data",
            method="GET",
            path="/v1/policy/data",
            summary="The policy data in force",
            scope=Scope.ADMIN,
            asks=Nothing,
            answers=PolicyDataRow,
            run=rulings.data,
            errors=("not_found",),
        ),
        Operation(
            name="list_decisions",
            method="GET",
            path="/v1/policy/decisions",
            summary="Decisions of late, newest first",
            scope=Scope.OPERATOR,
            asks=DecisionsAsked,
            answers=Decisions,
            run=rulings.decisions,
            errors=("malformed",),
        ),
    )


def _before(rulings: Rulings) -> tuple[Operation, ...]:
    return (
        Operation(
            name="list_revisions",
            method="GET",
            path="/v1/policy/revisions",
            summary="The revisions that were in force while the node ran",
            scope=Scope.OPERATOR,
            asks=Paged,
            answers=Revisions,
            run=rulings.list_revisions,
            errors=("malformed",),
        ),
        Operation(
            name="diff_revisions",
            method="POST",
            path="/v1/policy/diff",
            summary="What differs between two revisions",
            scope=Scope.OPERATOR,
            asks=DiffAsked,
            answers=Diff,
            run=rulings.diff,
            errors=("not_found",),
        ),
    )


def _questions(whys: Whys) -> tuple[Operation, ...]:
    return (
        Operation(
            name="evaluate_policy",
            method="POST",
            path="/v1/policy/evaluate",
            summary="What policy would answer, and why; nothing is done",
            scope=Scope.OPERATOR,
            asks=Question,
            answers=Explained,
            run=whys.evaluate,
            errors=("not_found", "malformed", "limit_exceeded", "unavailable"),
        ),
        Operation(
            name="explain_message",
            method="GET",
            path="/v1/messages/{id}/why",
            summary="Why a message was let in, held or denied",
            scope=Scope.OPERATOR,
            asks=WhyAsked,
            answers=Explained,
            run=whys.why,
            errors=("not_found", "unavailable"),
        ),
    )


def _writes(rulings: Rulings) -> tuple[Operation, ...]:
    return (
        Operation(
            name="put_policy",
            method="PUT",
            path="/v1/policy",
            summary="Put another policy in force",
            scope=Scope.ADMIN,
            asks=PutPolicy,
            answers=PutAnswer,
            run=rulings.putting.put,
            writes=True,
            errors=("conflict", "bad_policy", "usage", "malformed", "unavailable"),
        ),
    )
