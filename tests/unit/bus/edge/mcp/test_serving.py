"""Who may reach the server over HTTP, and by which names."""

from pathlib import Path
from typing import Any

import pytest

from bus.core.errors import ConfigurationError
from bus.edge.mcp.door import Door, checked
from bus.edge.mcp.serving import security

TOKEN = "a-token-of-some-length"  # noqa: S105 - of a test
PEM = Path("some.pem")
SAFE: dict[str, Any] = {"token": TOKEN, "certificate": PEM, "key": PEM}


@pytest.mark.parametrize(
    "door",
    [
        Door(),
        Door(host="localhost"),
        Door(host="::1"),
        Door(host="127.0.0.9", token=TOKEN),
        Door(host="192.0.2.1", **SAFE),
        Door(host="bus.example", **SAFE),
        Door(host="0.0.0.0", names=("bus.example",), **SAFE),  # noqa: S104 - it is checked
    ],
)
def test_a_safe_door_is_taken(door: Door) -> None:
    """From this machine, or with a token over TLS."""
    checked(door)


@pytest.mark.parametrize(
    ("door", "said"),
    [
        (Door(token="short"), "short"),  # noqa: S106 - it is refused
        (Door(certificate=PEM), "go together"),
        (Door(key=PEM), "go together"),
        (Door(host="192.0.2.1"), "--callers-token-file"),
        (Door(host="bus.example", token=TOKEN), "--certificate"),
        (Door(host="192.0.2.1", certificate=PEM, key=PEM), "--callers-token-file"),
        (Door(host="0.0.0.0", **SAFE), "--allow-host"),  # noqa: S104 - it is refused
        (Door(host="::", **SAFE), "--allow-host"),
    ],
)
def test_a_door_that_is_not_safe_is_refused(door: Door, said: str) -> None:
    """With what is missing."""
    with pytest.raises(ConfigurationError, match=said):
        checked(door)


def test_only_the_doors_own_names_are_let_in() -> None:
    """Loopback by its names and the port; another address by itself and what is said."""
    here = security(Door(), 8765)
    assert set(here.allowed_hosts) == {
        "127.0.0.1:8765",
        "localhost:8765",
        "[::1]:8765",
    }
    assert "http://127.0.0.1:8765" in here.allowed_origins
    there = security(Door(host="192.0.2.1", names=("bus.example",), **SAFE), 443)
    assert set(there.allowed_hosts) == {
        "192.0.2.1:443",
        "bus.example:443",
        "bus.example",
    }
    assert "https://bus.example" in there.allowed_origins
    assert here.enable_dns_rebinding_protection
    assert there.enable_dns_rebinding_protection


def test_a_door_shows_no_token() -> None:
    """Neither in a log nor in an error."""
    assert TOKEN not in repr(Door(token=TOKEN))
