"""Names and values as an administrator reads them: words, and the form of an address.

Rule: nothing here knows a tool, a person or a place; only what names are made of.
"""

import re
from typing import Final

# Providers whose addresses anybody may hold: an address there says nothing of a domain.
PUBLIC_MAIL: Final = (
    "aol.com",
    "fastmail.com",
    "gmail.com",
    "gmx.com",
    "googlemail.com",
    "hotmail.com",
    "icloud.com",
    "live.com",
    "mail.com",
    "me.com",
    "msn.com",
    "outlook.com",
    "proton.me",
    "protonmail.com",
    "yahoo.com",
    "yandex.com",
    "zoho.com",
)
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_EMAIL: Final = re.compile(r"[^\s@<>,;]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_ACCOUNT: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}")
_PLAIN: Final = re.compile(r"[\w.'&-]+(?: [\w.'&-]+){0,3}")
_PLAIN_CHARS_MAX: Final = 64


def words(name: str) -> tuple[str, ...]:
    """Return the words of an identifier, small: `userEmail_id` is user, email, id."""
    return tuple(word.lower() for word in _WORD.findall(name))


def singular(word: str) -> str:
    """Return an English noun in the singular; what is no plural stays as it is."""
    if word.endswith("ies") and len(word) > 4:  # noqa: PLR2004 - not `ties` or `pies`
        return f"{word[:-3]}y"
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def nouns(name: str) -> tuple[str, ...]:
    """Return the words of an identifier in the singular."""
    return tuple(singular(word) for word in words(name))


def is_email(value: str) -> bool:
    """Tell whether a value is one e-mail address and nothing else."""
    return _EMAIL.fullmatch(value) is not None


def is_account(value: str) -> bool:
    """Tell whether a value has the form of an international bank account number."""
    return _ACCOUNT.fullmatch(value.replace(" ", "").upper()) is not None


def is_plain_name(value: str) -> bool:
    """Tell whether a value can be the name of somebody or something, not a text."""
    return (
        len(value) <= _PLAIN_CHARS_MAX
        and _PLAIN.fullmatch(value) is not None
        and "www." not in value
        and any(char.isalpha() for char in value)
    )
