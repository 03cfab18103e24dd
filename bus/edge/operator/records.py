"""The audit record: read, and checked as a whole in the background.

Rule: a reader costs the bus a thread's time and no more; one check runs at a time, with
rests, and its last result stays to be seen.
"""

import asyncio
import logging
import threading
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from bus.adapters.audit import Summary, verify
from bus.core.edgelimits import VERIFY_REST_S, VERIFY_WAIT_S
from bus.core.errors import (
    AuditBrokenError,
    ConfigurationError,
    UnavailableError,
    UsageError,
)
from bus.edge.caller import Caller, Scope
from bus.edge.operations import Operation
from bus.edge.operator import leafing
from bus.edge.operator.answers import Nothing
from bus.edge.operator.careanswers import AuditAsked, AuditPage, Verification
from bus.edge.operator.inside import Inside, tenant_of
from bus.edge.operator.tap import Tap
from bus.edge.operator.told import rfc3339

_log: Final = logging.getLogger("assent.operator")
_UNREAD: Final = "the audit record cannot be read now"


class _StoppedError(Exception):
    """The node stops; a check is given up."""


class Records:
    """The record of one bus."""

    def __init__(self, inside: Inside, tap: Tap) -> None:
        self._inside = inside
        self._tap = tap
        self._settings = inside.bus.settings.audit
        self.last = Verification(state="never")
        self._ended = asyncio.Event()
        self._stop = threading.Event()

    async def page(self, caller: Caller, asked: AuditAsked) -> AuditPage:
        """Return a page of records, newest first unless the oldest are asked for."""
        wanted = leafing.Wanted(asked, tenant_of(caller, asked.tenant))
        file = self._settings.file
        if file is None:
            late = tuple(self._tap.late)
            first = self._tap.total - len(late)
            read = partial(leafing.of_memory, late, first, wanted)
        else:
            read = partial(leafing.of_file, file, wanted)
        try:
            items, following = await asyncio.to_thread(read)
        except OSError as error:
            raise UnavailableError(_UNREAD) from error
        return AuditPage(items=tuple(items), next=following, durable=file is not None)

    async def verification(self, caller: Caller, asked: Nothing) -> Verification:
        """Return how far the check is, or how the last one ended."""
        del caller, asked
        return self.last

    async def verify(self, caller: Caller, asked: Nothing) -> Verification:
        """Check the whole record, unless that is under way; wait VERIFY_WAIT_S for it."""
        del asked
        file = self._settings.file
        if file is None:
            raise UsageError("the audit record is in memory only: set audit.file")
        if self.last.state != "running":
            self._ended.clear()
            started = rfc3339(self._inside.now_ns())
            by = caller.agent if caller.scope is Scope.ADMIN else ""
            self.last = Verification(state="running", by=by, started=started)
            self._inside.record("audit_check", caller, caller.tenant, "begun")
            work = self._checked(file)
            self._inside.host.crew.start(work, "assent audit check")
        try:
            async with asyncio.timeout(VERIFY_WAIT_S):
                await self._ended.wait()
        except TimeoutError:
            pass  # it goes on; who asked looks again
        return self.last

    async def _checked(self, file: Path) -> None:
        check = partial(verify, file, self._settings.head_file, told=self._told)
        try:
            summary = await asyncio.to_thread(check)
        except asyncio.CancelledError:
            self._stop.set()
            raise
        except _StoppedError:
            return
        except AuditBrokenError as error:
            self._end(ok=False, broken_line=error.line, reason=error.reason)
        except Exception as error:  # noqa: BLE001 - told, and must not stop the bus
            if not isinstance(error, ConfigurationError | OSError):
                _log.exception("the audit record could not be checked")
            self._end(ok=False, reason=f"{_UNREAD}: {type(error).__name__}")
        else:
            self._end_well(summary)

    def _told(self, done: int, size: int) -> None:
        """Note how far it is; runs in the check's thread, which rests here."""
        self.last = msgspec.structs.replace(self.last, progress=done / size)
        if self._stop.wait(VERIFY_REST_S):
            raise _StoppedError

    def _end_well(self, summary: Summary) -> None:
        self._end(
            ok=True,
            records=summary.records,
            head=summary.head,
            head_checked=summary.head_checked,
            unsealed=summary.unsealed,
        )

    def _end(self, **found: object) -> None:
        ended = rfc3339(self._inside.now_ns())
        self.last = msgspec.structs.replace(
            self.last, state="done", progress=1.0, ended=ended, **found
        )
        self._ended.set()


def operations(records: Records) -> tuple[Operation, ...]:
    """Return the operations about the audit record."""
    return (
        Operation(
            name="list_audit",
            method="GET",
            path="/v1/audit",
            summary="The audit record, newest first",
            scope=Scope.OPERATOR,
            asks=AuditAsked,
            answers=AuditPage,
            run=records.page,
            errors=("malformed", "unavailable"),
        ),
        Operation(
            name="get_audit_check",
            method="GET",
            path="/v1/audit/verify",
            summary="How far the check of the audit record is, or how the last ended",
            scope=Scope.OPERATOR,
            asks=Nothing,
            answers=Verification,
            run=records.verification,
        ),
        Operation(
            name="verify_audit",
            method="POST",
            path="/v1/audit/verify",
            summary="Check the whole audit record against its seals",
            scope=Scope.OPERATOR,
            asks=Nothing,
            answers=Verification,
            run=records.verify,
            writes=True,
            errors=("usage",),
        ),
    )
