"""An address that cannot be honoured is refused, and no secret is told."""

from pathlib import Path
from typing import Any

import pytest

from bus.config import Secret
from bus.core.errors import ConfigurationError
from bus.core.policylimits import OPA_CONNECTIONS_MAX, OPA_DEADLINE_S_MAX
from policy.opa.address import ServerAddress

TOKEN = "s3cret-t0ken"  # noqa: S105 - of no server


@pytest.mark.parametrize(
    ("url", "base", "host", "port"),
    [
        ("http://opa", "http://opa", "opa", 80),
        ("https://opa/", "https://opa", "opa", 443),
        ("http://127.0.0.1:8181/x/", "http://127.0.0.1:8181/x", "127.0.0.1", 8181),
        ("https://[::1]:8443", "https://[::1]:8443", "::1", 8443),
    ],
)
def test_an_address_is_taken_apart(url: str, base: str, host: str, port: int) -> None:
    """OPA's own paths are appended to the base."""
    address = ServerAddress(url=url)
    assert (address.base, address.host, address.port) == (base, host, port)
    assert address.socket is None


def test_a_socket_is_named_by_its_path() -> None:
    """What is sent over it needs a host all the same."""
    address = ServerAddress(url="unix:/run/opa.sock")
    assert (address.socket, address.base) == ("/run/opa.sock", "http://localhost")
    assert address.tls() is None


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"url": "ftp://opa"}, "none of http"),
        ({"url": "opa:8181"}, "none of http"),
        ({"url": ""}, "none of http"),
        ({"url": "http://"}, "none of http"),
        ({"url": "http://opa:0"}, "none of http"),
        ({"url": "http://opa:99999"}, "no valid address"),
        ({"url": "http://[::1"}, "no valid address"),
        ({"url": "http://opa?x=1"}, "none of http"),
        ({"url": "http://opa#x"}, "none of http"),
        ({"url": "http://op a"}, "no spaces"),
        ({"url": "http://opa\r\nX: y"}, "no spaces"),
        ({"url": "http://" + "a" * 3_000}, "at most"),
        ({"url": "unix:opa.sock"}, "whole path"),
        ({"url": "http://opa", "ca_file": Path("ca.pem")}, "https://"),
        ({"url": "unix:/s", "cert_file": Path("c.pem")}, "https://"),
        ({"url": "https://opa", "key_file": Path("k.pem")}, "needs a certificate"),
        ({"url": "http://opa", "deadline_s": 0}, "deadline"),
        ({"url": "http://opa", "deadline_s": OPA_DEADLINE_S_MAX + 1}, "deadline"),
        ({"url": "http://opa", "deadline_s": float("nan")}, "deadline"),
        ({"url": "http://opa", "connections": 0}, "connections"),
        ({"url": "http://opa", "connections": OPA_CONNECTIONS_MAX + 1}, "connections"),
        ({"url": "http://opa", "failures_max": 0}, "breaker"),
        ({"url": "http://opa", "reset_s": 0}, "breaker"),
    ],
)
def test_what_cannot_be_honoured_is_refused(settings: dict[str, Any], why: str) -> None:
    """Before anything is sent, and with the reason."""
    with pytest.raises(ConfigurationError, match=why):
        ServerAddress(**settings)


def test_the_token_is_sent_and_never_shown() -> None:
    """Neither is a password in the address, which is refused."""
    address = ServerAddress(url="http://opa", token=Secret(TOKEN))
    assert address.headers() == {"Authorization": f"Bearer {TOKEN}"}
    assert TOKEN not in repr(address) + str(address)
    with pytest.raises(ConfigurationError, match="use a token") as refused:
        ServerAddress(url=f"http://user:{TOKEN}@opa")
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize("text", ["", "a\nb", "a b", "\u00e9", "a" * 20_000])
def test_a_token_no_header_can_carry_is_refused(text: str) -> None:
    """It could smuggle in a header of its own."""
    with pytest.raises(ConfigurationError, match="token") as refused:
        ServerAddress(url="http://opa", token=Secret(text))
    assert not text or text not in str(refused.value)


def test_a_certificate_that_cannot_be_loaded_is_refused(tmp_path: Path) -> None:
    """With the file's name; a missing one and one that is no PEM."""
    missing = ServerAddress(url="https://opa", ca_file=tmp_path / "ca.pem")
    with pytest.raises(ConfigurationError, match=r"ca\.pem"):
        missing.tls()
    (tmp_path / "cert.pem").write_text("nothing of the kind")
    broken = ServerAddress(url="https://opa", cert_file=tmp_path / "cert.pem")
    with pytest.raises(ConfigurationError, match=r"cert\.pem"):
        broken.tls()
