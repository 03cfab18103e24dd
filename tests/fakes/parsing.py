"""Rules that were parsed for one bus and are the same for the next."""

from collections.abc import Callable
from typing import Any

from policy.bundle import Bundle
from policy.loading import Policy
from policy.pacing import Steps


class ParsedOnce:
    """Builds a policy after the last that was built, as a reload does.

    Whether rules may be reused is the product's to say: the same sources, and thread.
    """

    def __init__(self, building: Callable[..., Steps[Policy]]) -> None:
        self._building = building
        self._last: Policy | None = None

    @property
    def building(self) -> Any:
        """What stands for the method."""

        def built(
            source: Any, bundle: Bundle, before: Policy | None = None
        ) -> Steps[Policy]:
            made = yield from self._building(source, bundle, before or self._last)
            self._last = made
            return made

        return built
