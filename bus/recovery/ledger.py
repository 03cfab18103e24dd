"""What happened, in order: kept for a while, and told once.

Rule: a transition is told after everything of its step was done, so whoever is told may
call back. Each is told once; a telling that fails holds up none of the others, and is
raised after them.
"""

from collections import deque
from collections.abc import Callable

from bus.core.recoverylimits import RECOVERY_HISTORY_MAX
from bus.recovery.component import Transition


class Ledger:
    """Keeps the last `RECOVERY_HISTORY_MAX` transitions, and hands each to `tell`."""

    def __init__(self, tell: Callable[[Transition], None]) -> None:
        self._tell = tell
        self._telling = False
        self._untold: deque[Transition] = deque()
        self.kept: deque[Transition] = deque(maxlen=RECOVERY_HISTORY_MAX)

    def note(self, transition: Transition) -> None:
        """Keep a transition; it is told by the next `flush`."""
        self.kept.append(transition)
        self._untold.append(transition)

    def flush(self) -> None:
        """Tell what was not told. Called from within `tell` it leaves that to the first."""
        if self._telling:
            return
        self._telling = True
        faults: list[Exception] = []
        while self._untold:
            try:
                self._tell(self._untold.popleft())
            except Exception as error:  # noqa: BLE001 - raised below, after the rest
                faults.append(error)
        self._telling = False
        if faults:
            raise ExceptionGroup("transitions that could not be told", faults)
