"""How well the whole is: the breakers' score, and what the parts themselves say.

Rule: a part that cannot tell, or tells anything but True, is not well. A score says how
much of the whole works; what is essential and fails makes it critical all the same.
"""

import enum
import inspect
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from bus.core import breaker, recovering
from bus.core.errors import LimitExceededError, UsageError
from bus.core.limits import ERROR_CHARS_MAX
from bus.core.recovering import Standing
from bus.core.recoverylimits import (
    HEALTH_INPUTS_MAX,
    HEALTH_SAMPLE_EACH_S,
    HEALTH_SAMPLES_KEPT,
)
from bus.ports import Clock, Timer
from bus.recovery.component import said

Check = Callable[[], tuple[bool, str]]
"""Tells whether a part is well, and a word about it. Must not wait."""


class Weight(enum.Enum):
    """What it means for the whole that an input is not well."""

    ESSENTIAL = "essential"  # critical: nothing may be let in
    TELLING = "telling"  # degraded at best


class Input(msgspec.Struct, frozen=True):
    """One real input, as it was when asked."""

    name: str
    ok: bool
    text: str
    weight: Weight


class Health(msgspec.Struct, frozen=True):
    """The whole at one moment. `score` is the breakers'; `standing` counts inputs too."""

    at_ns: int
    score: float
    standing: Standing
    inputs: tuple[Input, ...]

    @property
    def unwell(self) -> tuple[Input, ...]:
        """The inputs that are not well."""
        return tuple(given for given in self.inputs if not given.ok)


class HealthBoard:
    """Asks each second, and keeps five minutes of it. Used on one loop."""

    def __init__(
        self,
        clock: Clock,
        breakers: Callable[[], Iterable[breaker.State]],
        *,
        essential: Mapping[str, Check],
        telling: Mapping[str, Check],
    ) -> None:
        """`essential` are inputs without which nothing may be let in.

        Raises:
            UsageError: a name given in both.
            LimitExceededError: more than `HEALTH_INPUTS_MAX` inputs.
        """
        if both := essential.keys() & telling.keys():
            raise UsageError(f"{', '.join(sorted(both))}: essential, or telling?")
        count = len(essential) + len(telling)
        if count > HEALTH_INPUTS_MAX:
            raise LimitExceededError(
                "health inputs", actual=count, allowed=HEALTH_INPUTS_MAX
            )
        self._clock = clock
        self._breakers = breakers
        self._checks: Final = [
            *((name, check, Weight.ESSENTIAL) for name, check in essential.items()),
            *((name, check, Weight.TELLING) for name, check in telling.items()),
        ]
        self._samples: deque[Health] = deque(maxlen=HEALTH_SAMPLES_KEPT)
        self._timer: Timer | None = None

    def start(self) -> None:
        """Take a sample now and each second from now on. Needs a running loop."""
        if self._timer is None:
            self._sample()

    def stop(self) -> None:
        """Take no more samples; those taken stay."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def now(self) -> Health:
        """Ask everybody now."""
        score = recovering.score(self._breakers())
        inputs = tuple(
            Input(name, *_asked(check), weight) for name, check, weight in self._checks
        )
        failing = {given.weight for given in inputs if not given.ok}
        standing = recovering.standing(score)
        if Weight.ESSENTIAL in failing:
            standing = Standing.CRITICAL
        elif failing and standing is Standing.HEALTHY:
            standing = Standing.DEGRADED
        return Health(self._clock.now_ns(), score, standing, inputs)

    def samples(self) -> tuple[Health, ...]:
        """Return the samples kept, oldest first."""
        return tuple(self._samples)

    def ready(self) -> tuple[bool, str]:
        """Tell whether the whole may be given work, asking now; for `/readyz`."""
        health = self.now()
        words = [f"{health.standing.value}, score {health.score:.2f}"]
        words += [f"{given.name}: {given.text}" for given in health.unwell]
        ok = health.standing is not Standing.CRITICAL
        return ok, "; ".join(words)[:ERROR_CHARS_MAX]

    def _sample(self) -> None:
        self._timer = self._clock.call_after(HEALTH_SAMPLE_EACH_S, self._sample)
        self._samples.append(self.now())


def _asked(check: Check) -> tuple[bool, str]:
    """Return what a check says; one that breaks, or must be awaited, says nothing good."""
    try:
        found: Any = check()  # what it really returns, whatever it is typed as
        if inspect.iscoroutine(found):
            found.close()
        ok, text = found
    except Exception as error:  # noqa: BLE001 - a check that breaks is a part not well
        return False, said(error)
    return ok is True, str(text)[:ERROR_CHARS_MAX]
