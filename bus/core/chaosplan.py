"""What is broken on purpose: which faults are on, until when, and whom they hit.

Rule: nothing is admitted past its bounds, and nothing hits after its time. Time and
chance are the caller's: a draw depends on the seed and on how many were drawn before.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from bus.core import subject as grammar
from bus.core.errors import LimitExceededError
from bus.core.faults import (
    DRAWN,
    RESOURCES,
    Asked,
    ChaosRefusedError,
    Injection,
    Kind,
    Reach,
    Strike,
    bounded,
    check_fields,
)
from bus.core.operatinglimits import (
    CHAOS_ACTIVE_MAX,
    CHAOS_ENDED_KEPT,
    CHAOS_S_MAX,
)

_NS_PER_S: Final = 1_000_000_000
_BITS: Final = (1 << 64) - 1


class Plan:
    """The faults of one bus. `offers` says which kinds each component can be hit by."""

    def __init__(self, reach: Reach, offers: Mapping[str, Iterable[Kind]]) -> None:
        self.reach = reach
        self.offers = {name: frozenset(kinds) for name, kinds in offers.items()}
        self.active: dict[str, Injection] = {}
        self.ended: list[Injection] = []

    @property
    def jump_ns(self) -> int:
        """How far the clock is off."""
        found = (i.asked.jump_s for i in self.active.values())
        return int(sum(found) * _NS_PER_S)

    def check(self, asked: Asked) -> None:
        """Raise unless the fault may be injected now.

        Raises:
            LimitExceededError: it goes too far.
            ChaosRefusedError: it makes no sense, or its component may not be hit.
        """
        self._check_place(asked)
        check_fields(asked)
        bounded(
            "chaos seconds", asked.seconds, min(self.reach.max_seconds, CHAOS_S_MAX)
        )
        if len(self.active) >= CHAOS_ACTIVE_MAX:
            raise LimitExceededError(
                "faults at once", actual=len(self.active) + 1, allowed=CHAOS_ACTIVE_MAX
            )
        self._check_radius(asked)

    def admit(
        self, asked: Asked, *, name: str, by: str, seed: int, now_ns: int
    ) -> Injection:
        """Let a fault begin, once `check` has passed; raises as it does."""
        self.check(asked)
        made = Injection(
            id=name,
            by=by,
            asked=asked,
            seed=seed if asked.seed is None else asked.seed,
            started_ns=now_ns,
            until_ns=now_ns + int(asked.seconds * _NS_PER_S),
        )
        self.active[name] = made
        return made

    def strike(
        self, component: str, now_ns: int, tokens: tuple[str, ...] = ()
    ) -> Strike | None:
        """Return what hits the next question to a component, or None.

        `tokens` are those of the subject that it is about, where the component has one.
        """
        delay_s, refused, hangs = 0.0, "", False
        for injection in self.active.values():
            asked = injection.asked
            if asked.component != component or now_ns >= injection.until_ns:
                continue
            if not (_concerns(asked, tokens) and _hits(injection)):
                continue
            if asked.kind is Kind.LATENCY:
                delay_s = max(delay_s, asked.latency_s)
                continue
            refused = f"injected {asked.kind.value} {injection.id}: {asked.reason}"
            hangs = hangs or asked.kind is Kind.TIMEOUT
        return Strike(delay_s, refused, hangs) if delay_s or refused else None

    def hits(self, component: str, now_ns: int) -> bool:
        """Tell whether a fault is on at a component."""
        return any(
            i.asked.component == component and now_ns < i.until_ns
            for i in self.active.values()
        )

    def end(self, name: str, why: str) -> Injection | None:
        """Take a fault back; None if it is not on."""
        injection = self.active.pop(name, None)
        if injection is not None:
            injection.ended = why
            self.ended.append(injection)
            del self.ended[:-CHAOS_ENDED_KEPT]
        return injection

    def overdue(self, now_ns: int) -> list[str]:
        """Return the ids of faults whose time is over."""
        return [name for name, i in self.active.items() if now_ns >= i.until_ns]

    def _check_place(self, asked: Asked) -> None:
        allowed = sorted(self.reach.components & self.offers.keys())
        if asked.component not in self.reach.components:
            raise ChaosRefusedError(
                f"component {asked.component!r} is not among chaos.components; of those "
                f"there are: {', '.join(allowed) or 'none'}"
            )
        kinds = self.offers.get(asked.component)
        if kinds is None:
            raise ChaosRefusedError(
                f"this bus has no component {asked.component!r}; there are: "
                f"{', '.join(sorted(self.offers))}"
            )
        if asked.kind not in kinds:
            told = ", ".join(sorted(kind.value for kind in kinds))
            raise ChaosRefusedError(
                f"component {asked.component!r} cannot be hit by {asked.kind.value}; "
                f"it can by: {told}"
            )

    def _check_radius(self, asked: Asked) -> None:
        radius = self.reach.blast_radius
        here = [i for i in self.active.values() if i.asked.component == asked.component]
        if any(i.asked.kind is asked.kind for i in here):
            raise ChaosRefusedError(
                f"{asked.component} is hit by {asked.kind.value} already; stop that first"
            )
        if asked.kind in DRAWN:
            share = asked.share + sum(i.asked.share for i in here)
            _within("share of questions", share, radius)
        elif asked.kind not in RESOURCES:
            whole = {
                i.asked.component
                for i in self.active.values()
                if i.asked.kind not in DRAWN and i.asked.kind not in RESOURCES
            }
            hit = len(whole | {asked.component})
            _within("share of components", hit / len(self.offers), radius)


def _within(name: str, share: float, radius: float) -> None:
    share = round(share, 9)  # sums of shares are not exact
    if share > radius:
        told = f"{name} (chaos.blast_radius)"
        raise LimitExceededError(told, actual=share, allowed=radius)


def _concerns(asked: Asked, tokens: tuple[str, ...]) -> bool:
    """Tell whether a question's subject is one that the fault is for."""
    if not asked.subject:
        return True
    return grammar.matches(tuple(asked.subject.split(".")), tokens)


def _hits(injection: Injection) -> bool:
    """Count a question, and tell whether the fault hits it."""
    kind = injection.asked.kind
    if kind is not Kind.PARTITION and kind not in DRAWN:
        return False
    number = injection.questions
    injection.questions = number + 1
    hit = kind is Kind.PARTITION or (
        drawn(injection.seed, number) < injection.asked.share
    )
    injection.hits += hit
    return hit


def drawn(seed: int, number: int) -> float:
    """Return the draw of that number, from 0 up to 1: SplitMix64 (Steele et al., 2014)."""
    z = (seed + (number + 1) * 0x9E3779B97F4A7C15) & _BITS
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & _BITS
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & _BITS
    return ((z ^ z >> 31) >> 11) / (1 << 53)
