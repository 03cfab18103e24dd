"""Wrong credentials, counted by the address they came from.

Rule: bounded in addresses and by time. An address past its bound learns when it may try
again, and costs neither a look-up nor a signature until then.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from bus.core.edgelimits import ATTEMPTS_ADDRESSES_MAX, ATTEMPTS_MAX, ATTEMPTS_S

_NS_PER_S: Final = 1_000_000_000
_WINDOW_NS: Final = int(ATTEMPTS_S * _NS_PER_S)
_SITE_BITS: Final = 64  # what one site is given of IPv6, so it counts as one address


class Attempts:
    """Counts failures of each address in windows of ATTEMPTS_S."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._failed: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Return how long an address must wait, in seconds; 0 if it need not."""
        since_ns, count = self._failed.get(_site(address), (0, 0))
        left_ns = since_ns + _WINDOW_NS - self._now_ns()
        return left_ns / _NS_PER_S if count >= ATTEMPTS_MAX and left_ns > 0 else 0.0

    def failed(self, address: str) -> int:
        """Count a failure; return how many there are in the window."""
        site, now_ns = _site(address), self._now_ns()
        since_ns, count = self._failed.pop(site, (now_ns, 0))
        if since_ns + _WINDOW_NS <= now_ns:
            since_ns, count = now_ns, 0
        self._failed[site] = (since_ns, count + 1)
        if len(self._failed) > ATTEMPTS_ADDRESSES_MAX:
            self._failed.popitem(last=False)
        return count + 1


def _site(address: str) -> str:
    """Return what counts as one address."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found), _SITE_BITS), strict=False))
