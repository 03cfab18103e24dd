"""Addresses: what is secret goes over TLS or stays on the machine."""

from pathlib import Path

import pytest

from bus.core.errors import ConfigurationError
from bus.remote.address import Address, Trust, address, tls


@pytest.mark.parametrize(
    ("url", "socket", "web"),
    [
        ("wss://bus.example", "wss://bus.example/ws", "https://bus.example"),
        ("wss://bus.example/ws", "wss://bus.example/ws", "https://bus.example"),
        ("https://bus.example:8/", "wss://bus.example:8/ws", "https://bus.example:8"),
        ("wss://a.example/x/ws/", "wss://a.example/x/ws", "https://a.example/x"),
        ("http://127.0.0.1:1", "ws://127.0.0.1:1/ws", "http://127.0.0.1:1"),
        ("ws://localhost:1/ws", "ws://localhost:1/ws", "http://localhost:1"),
        ("ws://[::1]:1", "ws://[::1]:1/ws", "http://[::1]:1"),
    ],
)
def test_either_door_names_the_node(url: str, socket: str, web: str) -> None:
    """The one follows from the other."""
    secure = socket.startswith("wss")
    assert address(url, Trust()) == Address(socket, web, secure)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("bus.example", "wss://HOST"),
        ("ftp://bus.example", "wss://HOST"),
        ("wss://", "wss://HOST"),
        ("wss://bus.example:99999", "range"),
        ("wss://[::1", "IPv6"),
        ("wss://me:secret@bus.example", "no name and no password"),
        ("wss://bus.example/?token=x", "nothing follows"),
        ("wss://bus.example/#x", "nothing follows"),
        ("ws://bus.example", "plain"),
        ("http://10.0.0.1", "plain"),
    ],
)
def test_what_is_no_address_or_not_safe_is_refused(url: str, why: str) -> None:
    """And the text says what to do; no password is in it."""
    with pytest.raises(ConfigurationError, match=why) as caught:
        address(url, Trust())
    assert "secret@" not in str(caught.value)


def test_a_plain_address_of_another_machine_has_to_be_meant() -> None:
    """By saying insecure."""
    assert not address("ws://bus.example", Trust(insecure=True)).secure


def test_certificates_do_nothing_without_tls() -> None:
    """So they are refused."""
    with pytest.raises(ConfigurationError, match="certificates do nothing"):
        address("ws://127.0.0.1", Trust(ca=Path("ca.pem")))


def test_files_that_are_no_certificates_are_refused(tmp_path: Path) -> None:
    """With their names."""
    with pytest.raises(ConfigurationError, match=r"none\.pem"):
        tls(Trust(ca=tmp_path / "none.pem"))
    (tmp_path / "odd.pem").write_text("odd")
    with pytest.raises(ConfigurationError, match=r"odd\.pem"):
        tls(Trust(certificate=tmp_path / "odd.pem"))
    with pytest.raises(ConfigurationError, match="needs its certificate"):
        tls(Trust(key=tmp_path / "key.pem"))


def test_without_files_the_systems_are_believed() -> None:
    """And the name is checked."""
    context = tls(Trust())
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"
