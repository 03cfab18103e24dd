"""What operators ask and are answered: the audit record, and how parts are brought back.

Rule: as in `bus.edge.operator.answers`.
"""

from typing import Literal

from bus.edge.operations import Asks, Page
from bus.edge.operator.answers import Filter, Paged, Row, Standing


class AuditAsked(Paged, frozen=True, kw_only=True):
    """Which records: newest first unless `oldest` is set, and what each field is.

    A page may have few rows, or none, and still a `next`: so much was looked through.
    """

    oldest: bool = False
    event: Filter = ""
    agent: Filter = ""
    subject: Filter = ""
    id: Filter = ""
    tenant: Filter = ""


class AuditRow(Row, frozen=True, kw_only=True):
    """One record. `seq` is its place: it grows, and is not without gaps."""

    seq: int
    event: str
    time: str
    id: str
    tenant: str
    agent: str
    subject: str
    revision: str
    detail: str


class AuditPage(Page, frozen=True, kw_only=True):
    """Records, and whether they are kept in a file or only in memory."""

    items: tuple[AuditRow, ...]
    durable: bool


class Verification(Row, frozen=True, kw_only=True):
    """The last check of the whole record. `ok` is None until one has ended.

    `progress` is from 0 to 1. `head_checked` is False where a cut at the very end could
    not have been seen. `unsealed` records were being written.
    """

    state: Literal["never", "running", "done"]
    progress: float = 0.0
    ok: bool | None = None
    records: int | None = None
    head: str | None = None
    head_checked: bool | None = None
    unsealed: int | None = None
    broken_line: int | None = None
    reason: str = ""
    by: str = ""
    started: str | None = None
    ended: str | None = None


class ComponentRow(Row, frozen=True, kw_only=True):
    """A supervised part. `wait_ms` is until its next check or attempt, or None.

    `actions` are what may be ordered of it now. `error` is for an admin.
    """

    component: str
    kind: str
    priority: int
    state: str
    breaker: Literal["closed", "open", "half_open"]
    attempt: int
    attempts: int
    wait_ms: int | None
    error: str
    actions: tuple[Literal["approve", "cancel"], ...]


class HealthPoint(Row, frozen=True, kw_only=True):
    """The health of one second."""

    time: str
    score: float
    standing: Standing


class RecoveryRow(Row, frozen=True, kw_only=True):
    """How the node's parts stand, and its health of the last minutes, oldest first."""

    score: float
    standing: Standing
    components: tuple[ComponentRow, ...]
    health: tuple[HealthPoint, ...]


class HistoryAsked(Paged, frozen=True, kw_only=True):
    """Whose steps: those of all components where none is named."""

    component: Filter = ""


class TransitionRow(Row, frozen=True, kw_only=True):
    """One step of a recovery. `detail` is for an admin."""

    time: str
    component: str
    kind: str
    before: str
    after: str
    event: str
    attempt: int
    attempts: int
    breaker: str
    delay_ms: int
    detail: str
    by: str


class Transitions(Page, frozen=True, kw_only=True):
    """Steps, newest first."""

    items: tuple[TransitionRow, ...]


class OfComponent(Asks, frozen=True, kw_only=True):
    """The component an order is for."""

    component: str
