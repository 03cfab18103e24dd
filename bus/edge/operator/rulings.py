"""Policy as operators see it: what is in force, what it decided of late, what it would.

Rule: rules are shown to whoever lives under them; data, and another policy, are an
admin's. Decisions of late are those of the record, and bounded with it.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import msgspec

from bus.core.edgeerrors import NotFoundError
from bus.core.edgelimits import REASONS_SHOWN_MAX
from bus.edge.caller import Caller, Scope
from bus.edge.operator.answers import Nothing, Paged
from bus.edge.operator.explaining import Explainers
from bus.edge.operator.inside import Inside, seen_by, tenant_of
from bus.edge.operator.policyanswers import (
    DecisionRow,
    Decisions,
    DecisionsAsked,
    Diff,
    DiffAsked,
    ModuleRow,
    PolicyDataRow,
    PolicyRow,
    ReasonRow,
    RevisionRow,
    Revisions as RevisionsPage,
    RuleRow,
)
from bus.edge.operator.putting import Putting, etag_of
from bus.edge.operator.questions import ACCESS
from bus.edge.operator.revisions import Revisions, differences
from bus.edge.operator.roll import Roll
from bus.edge.operator.tap import Tap
from bus.edge.operator.told import number_after, rfc3339
from bus.ports import AuditRecord

_DECIDED: Final = frozenset({"accepted", "denied", "held", "recalled"})
_ALLOWED: Final = "accepted"
_SEPARATOR: Final = "; "


class Rulings(msgspec.Struct, frozen=True, kw_only=True):
    """Policy of one bus."""

    inside: Inside
    tap: Tap
    roll: Roll
    revisions: Revisions
    explainers: Explainers
    putting: Putting

    async def policy(self, caller: Caller, asked: Nothing) -> PolicyRow:
        """Return the policy in force."""
        del asked
        bundle, bus = self.inside.policy.bundle(), self.inside.bus
        engine = bus.settings.policy.engine
        why_not = self.putting.why_not()
        if caller.scope is not Scope.ADMIN:
            why_not = "an admin puts another policy in force"
        if bundle is None:
            return PolicyRow(
                revision=bus.revision,
                declared="",
                engine=engine,
                built_in=False,
                loaded="",
                data_agents=None,
                rules=(),
                modules=(),
                etag=bus.revision,
                writable=False,
                why_not=why_not,
            )
        rules = await self.explainers.rules(bundle)
        return PolicyRow(
            revision=bundle.revision,
            declared=bundle.declared,
            engine=engine,
            built_in=bundle.built_in,
            loaded=rfc3339(self.revisions.of(bundle.revision).since_ns),
            data_agents=await self.roll.count(seen_by(caller)),
            rules=tuple(
                RuleRow(rule=one.rule, file=one.file, line=one.line, kind=one.kind)
                for one in rules
            ),
            modules=tuple(
                ModuleRow(name=source.name, text=source.text)
                for source in bundle.sources
            ),
            etag=etag_of(bundle),
            writable=not why_not,
            why_not=why_not,
        )

    async def data(self, caller: Caller, asked: Nothing) -> PolicyDataRow:
        """Return policy data in force, for an admin."""
        del caller, asked
        bundle = self.inside.policy.bundle()
        if bundle is None:
            raise NotFoundError("policy data are kept by another server")
        text: Any = msgspec.Raw((await asyncio.to_thread(_text_of, bundle)).encode())
        name = bundle.data_name
        return PolicyDataRow(revision=bundle.revision, name=name, data=text)

    async def decisions(self, caller: Caller, asked: DecisionsAsked) -> Decisions:
        """Return a page of decisions of late, newest first, and why most were denied."""
        late = tuple(self.tap.late)
        first = self.tap.total - len(late)
        read = partial(
            self._decisions, late, first, asked, tenant_of(caller, asked.tenant)
        )
        return await asyncio.to_thread(read)

    def _decisions(
        self,
        late: tuple[AuditRecord, ...],
        first: int,
        asked: DecisionsAsked,
        tenant: str | None,
    ) -> Decisions:
        start = first + len(late)
        before = min(number_after(asked.after), start) if asked.after else start
        rows: list[DecisionRow] = []
        following: str | None = None
        reasons: Counter[str] = Counter()
        for number, record in _newest_first(late, first):
            if record[0] not in _DECIDED or tenant not in {None, record[3]}:
                continue
            if record[0] != _ALLOWED:
                reasons.update(_reasons(record))
            if number >= before or following is not None:
                continue
            row = self._row(record)
            if _wanted(asked, row):
                rows.append(row)
                following = str(number) if len(rows) == asked.limit else None
        shown = reasons.most_common(REASONS_SHOWN_MAX)
        return Decisions(
            items=tuple(rows),
            next=following,
            reasons=tuple(ReasonRow(reason=one, count=count) for one, count in shown),
        )

    def _row(self, record: AuditRecord) -> DecisionRow:
        event, time_ns, message_id, tenant, agent, subject, revision, detail, _ = record
        seen = self.tap.seen.get(message_id)
        action, colon, _ = detail.partition(": ")
        known = action if colon and action in ACCESS else None
        return DecisionRow(
            time=rfc3339(time_ns),
            agent=agent,
            tenant=tenant,
            subject=subject,
            outcome=event,
            allow=event == _ALLOWED,
            reasons=() if event == _ALLOWED else _reasons(record),
            revision=revision,
            message_id=message_id.hex(),
            action=known if seen is None else seen.action,
            type=None if seen is None else seen.type,
        )

    async def list_revisions(self, caller: Caller, asked: Paged) -> RevisionsPage:
        """Return the revisions that were in force while the node ran, newest first."""
        skip = number_after(asked.after)
        kept = self.revisions.newest_first
        current = self.inside.bus.revision
        told = caller.scope is Scope.ADMIN
        more = len(kept) > skip + asked.limit
        return RevisionsPage(
            items=tuple(
                RevisionRow(
                    revision=one.bundle.revision,
                    declared=one.bundle.declared,
                    since=rfc3339(one.since_ns),
                    current=one.bundle.revision == current,
                    modules=len(one.bundle.sources),
                    by=one.by if told else "",
                )
                for one in kept[skip : skip + asked.limit]
            ),
            next=str(skip + asked.limit) if more else None,
        )

    async def diff(self, caller: Caller, asked: DiffAsked) -> Diff:
        """Return what differs between two revisions that are kept."""
        before = self.revisions.of(asked.before).bundle
        after = self.revisions.of(asked.after).bundle
        with_data = caller.scope is Scope.ADMIN
        files = await asyncio.to_thread(differences, before, after, with_data=with_data)
        return Diff(
            before=before.revision,
            after=after.revision,
            files=tuple(files),
            data_compared=with_data,
        )


def _newest_first(
    late: tuple[AuditRecord, ...], first: int
) -> Iterator[tuple[int, AuditRecord]]:
    for at in range(len(late) - 1, -1, -1):
        yield first + at, late[at]


def _wanted(asked: DecisionsAsked, row: DecisionRow) -> bool:
    return (
        asked.allow in {None, row.allow}
        and asked.agent in {"", row.agent}
        and (not asked.reason or any(asked.reason in one for one in row.reasons))
    )


def _reasons(record: AuditRecord) -> tuple[str, ...]:
    """Return the reasons that a record gives, without the action before them."""
    detail = record[7]
    action, colon, rest = detail.partition(": ")
    said = rest if colon and action in ACCESS else detail
    return tuple(filter(None, said.split(_SEPARATOR)))


def _text_of(bundle: Any) -> str:
    return str(bundle.data_json)
