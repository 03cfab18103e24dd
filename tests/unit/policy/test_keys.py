"""Stamp keys: read from a document, made for a process, shown to nobody."""

import logging
import traceback
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from bus.core.errors import BusError, KeyRingError, UnknownKeyError
from bus.core.limits import KEYS_BYTES_MAX
from bus.core.stamp import KeyRing
from policy import keys
from tests.fakes.messages import full

SECRET = "5ec3e7" * 11  # 33 bytes
OTHER = "0ddba11e" * 8
TWO_KEYS = f'active = 2\n[keys]\n1 = "{OTHER}"\n2 = "{SECRET}"\n'


def test_a_ring_of_two_keys_is_read() -> None:
    """The active key stamps, both verify."""
    ring = keys.parse_keys(TWO_KEYS)
    old = KeyRing({1: bytes.fromhex(OTHER)}, active=1)
    message = full()
    old.seal(message)
    ring.verify(message)
    ring.seal(message)
    with pytest.raises(UnknownKeyError):
        old.verify(message)
    assert ring.active == 2


def test_two_generated_rings_do_not_verify_each_other() -> None:
    """A generated key is random: another process cannot make its stamps."""
    one, two = keys.generate(), keys.generate()
    message = full()
    one.seal(message)
    one.verify(message)
    with pytest.raises(BusError, match="was changed"):
        two.verify(message)


FAULTY = [
    ("", "exactly this form"),
    ("active = 1", "exactly this form"),
    (TWO_KEYS + "\n[more]", "exactly this form"),
    (TWO_KEYS.replace("active = 2", "active = '2'"), "active: the number"),
    (TWO_KEYS.replace("active = 2", "active = true"), "active: the number"),
    (TWO_KEYS.replace("active = 2", "active = 3"), "active stamp key"),
    (f'active = 1\nkeys = "{SECRET}"', "keys: a table"),
    ("active = 1\n[keys]\n", "0 stamp keys"),
    (f'active = 1\n[keys]\n01 = "{SECRET}"', "plain decimal"),
    (f'active = 1\n[keys]\n{SECRET} = "1"', "plain decimal"),
    (f'active = 1\n[keys]\n"\u0661" = "{SECRET}"', "plain decimal"),
    (f'active = 1\n[keys]\n1 = "{SECRET[:-1]}"', "stamp key 1 is not pairs of hex"),
    (f'active = 1\n[keys]\n1 = "{SECRET[:-1]}g"', "stamp key 1 is not pairs of hex"),
    (f'active = 1\n[keys]\n1 = "{SECRET} "', "stamp key 1 is not pairs of hex"),
    (f'active = 1\n[keys]\n1 = ["{SECRET}"]', "stamp key 1 is not pairs of hex"),
    (f'active = 1\n[keys]\n1 = "{SECRET[:8]}"', "stamp key 1 has 4 bytes"),
    (f'active = 1\n[keys]\n1 = "{SECRET * 2}"', "stamp key 1 has 66 bytes"),
    (f'active = 1\n[keys]\n1 = "{SECRET}"\n2 = "{SECRET.upper()}"', "under two ids"),
    (f'active = 1\n[keys]\n4294967296 = "{SECRET}"\n1 = "{OTHER}"', "0..2"),
    (f"active = 1\n[keys]\n1 = {SECRET}", "line 3"),
    (f'active = 1\n[keys]\n1 = "{SECRET}"\n1 = "{SECRET}"', "not valid TOML"),
    (f'active = 1\n[keys]\n"{SECRET}" = 1\n"{SECRET}" = 1', "not valid TOML"),
    (f"[{SECRET}]\n[{SECRET}]\n", "not valid TOML"),
    (f"active = 0x{SECRET}\n[keys]\n1 = '{OTHER}'", "active stamp key"),
    (f"active = 1\nkeys = {'[' * 9_000}", "not valid TOML"),
    (f"# {SECRET}\n" + "#" * KEYS_BYTES_MAX, "not valid TOML"),
    (f"{SECRET} = '\ud800'", "not valid TOML"),
]


def _everything(error: BaseException) -> str:
    """Return all that a log of this error could show, its chained errors included."""
    shown = [repr(error), *traceback.format_exception(error)]
    chained = (error.__cause__, error.__context__)
    shown += [_everything(inner) for inner in chained if inner is not None]
    return " ".join(shown)


@pytest.mark.parametrize(("text", "reason"), FAULTY)
def test_a_faulty_document_is_refused_without_showing_a_key(
    text: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The error says what to do; neither it nor what led to it holds a key."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(KeyRingError, match=reason) as caught:
        keys.parse_keys(text)
    shown = _everything(caught.value) + caplog.text
    # Traceback lines quote this file's source, which names SECRET but not its value.
    for secret in (SECRET, OTHER, SECRET.upper(), str(int(SECRET, 16))):
        assert secret[:6] not in shown


def test_a_ring_does_not_show_its_keys() -> None:
    """Neither repr nor str of a ring, nor its attributes, hold a key."""
    ring: Any = keys.parse_keys(TWO_KEYS)
    slots = [getattr(ring, name) for name in KeyRing.__slots__]
    shown = f"{ring!r} {ring} {slots!r}"
    for secret in (SECRET, OTHER, repr(bytes.fromhex(SECRET))):
        assert secret not in shown


@given(st.text(max_size=200))
@example("active = 9" + "9" * 5_000)
@example("active = 2020-13-41")
def test_any_text_is_a_ring_or_a_typed_error(text: str) -> None:
    """Fuzzed documents raise nothing else, and random text is no ring."""
    with pytest.raises(KeyRingError):
        keys.parse_keys(text)
