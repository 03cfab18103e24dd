"""What is known of a tenant before any request: read from where an environment keeps it.

Rule: only fields of a structure are read, never a text: bodies, contents, descriptions
and pages may be anybody's. What somebody else than the tenant made is no object of the
tenant's, and an address that merely occurs is nobody's contact.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from policy.toolcalls.arguments import PARTIES
from policy.toolcalls.naming import (
    PUBLIC_MAIL,
    is_account,
    is_email,
    is_plain_name,
    nouns,
)

_LABELS: Final = ("filename", "file_name", "title", "name", "label", "subject")
_MAKERS: Final = frozenset(
    ["author", "creator", "from", "organizer", "owner", "sender", "uploader"]
)
_PAYEES: Final = frozenset(["beneficiary", "payee", "recipient"])
_LABEL_CHARS_MAX: Final = 200
_OWN: Final = frozenset(["account", "email", "iban", "username"])
Record = Mapping[str, Any]


class Knowledge(msgspec.Struct, frozen=True):
    """What the tenant's administrator has written down.

    `own` are the tenant's own addresses and accounts, `people` the directory (address
    to name), `names` those of members and places by what they are, `accounts` payees,
    `domains` the tenant's own, `objects` its own things: kind, id, and what it is called.
    """

    own: tuple[str, ...]
    people: dict[str, str]
    names: dict[str, tuple[str, ...]]
    accounts: tuple[str, ...]
    domains: tuple[str, ...]
    objects: dict[str, dict[str, str]]
    collections: tuple[str, ...]


def knowledge(environment: Mapping[str, Any]) -> Knowledge:
    """Return what the structure of an environment tells."""
    sections = list(_sections(environment))
    own = frozenset(
        _folded(value)
        for section in sections
        for key, value in section.items()
        if isinstance(value, str) and _identifies(key, value)
    )
    groups = [group for section in sections for group in _groups(section)]
    return Knowledge(
        own=tuple(sorted(own)),
        people=_people(groups),
        names=_names(sections),
        accounts=tuple(sorted(_payees(groups, own))),
        domains=tuple(sorted(_domains(own))),
        objects=_objects(groups, own),
        collections=tuple(sorted({name for name, _ in groups})),
    )


def _sections(place: Record) -> Iterator[Record]:
    """Yield every object that is a part of the environment, not one record of many."""
    yield place
    for value in place.values():
        if isinstance(value, Mapping) and not _is_map(value):
            yield from _sections(value)


def _is_map(place: Record) -> bool:
    """Tell whether an object maps ids or names to records."""
    if not all(key.isidentifier() and key == key.lower() for key in place):
        return True
    shapes = [frozenset(v) for v in place.values() if isinstance(v, Mapping)]
    return 1 < len(shapes) == len(place) and len(set(shapes)) == 1


def _groups(section: Record) -> Iterator[tuple[str, list[tuple[str, Record]]]]:
    """Yield the collections of a section: name in the singular, (id, record) of each."""
    for key, value in section.items():
        name = "_".join(nouns(key))
        if isinstance(value, Mapping) and _is_map(value):
            found = [(k, r) for k, r in value.items() if isinstance(r, Mapping)]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            found = [(_id_of(r), r) for r in value if isinstance(r, Mapping)]
        else:
            continue
        if found and name:
            yield name, found


def _id_of(record: Record) -> str:
    for key in ("id", "id_", "uuid"):
        if isinstance(record.get(key), str | int):
            return str(record[key])
    return ""


def _people(groups: Sequence[tuple[str, list[tuple[str, Record]]]]) -> dict[str, str]:
    """Return address to name, of records that are no more than that."""
    found: dict[str, str] = {}
    for _, records in groups:
        for _, record in records:
            told = {k: v for k, v in record.items() if isinstance(v, str)}
            name, emails = told.get("name"), [v for v in told.values() if is_email(v)]
            if name is not None and len(emails) == 1 and is_plain_name(name):
                found[_folded(emails[0])] = name
    return dict(sorted(found.items()))


def _names(sections: Sequence[Record]) -> dict[str, tuple[str, ...]]:
    """Return the members and places that a section lists by name."""
    found: dict[str, set[str]] = {}
    for section in sections:
        for key, value in section.items():
            words = nouns(key)
            if not words or words[-1] not in PARTIES or not isinstance(value, list):
                continue
            listed = {v for v in value if isinstance(v, str) and is_plain_name(v)}
            if listed:
                found.setdefault(words[-1], set()).update(listed)
    return {name: tuple(sorted(values)) for name, values in sorted(found.items())}


def _payees(
    groups: Sequence[tuple[str, list[tuple[str, Record]]]], own: frozenset[str]
) -> set[str]:
    """Return the accounts that the tenant itself has paid into."""
    return {
        _folded(value)
        for _, records in groups
        for _, record in records
        if _is_made_by(record, own)
        for key, value in record.items()
        if set(nouns(key)) & _PAYEES and isinstance(value, str) and is_account(value)
    } - own


def _domains(own: frozenset[str]) -> set[str]:
    domains = {value.rpartition("@")[2] for value in own if is_email(value)}
    return domains - set(PUBLIC_MAIL)


def _objects(
    groups: Sequence[tuple[str, list[tuple[str, Record]]]], own: frozenset[str]
) -> dict[str, dict[str, str]]:
    """Return what the tenant made itself, by kind and id."""
    found: dict[str, dict[str, str]] = {}
    for name, records in groups:
        for number, record in records:
            label = next((record[key] for key in _LABELS if record.get(key)), None)
            if number and isinstance(label, str) and _is_made_by(record, own):
                found.setdefault(name, {})[number] = label[:_LABEL_CHARS_MAX]
    return dict(sorted(found.items()))


def _is_made_by(record: Record, own: frozenset[str]) -> bool:
    """Tell whether a record names nobody else as the one it comes from."""
    makers = [v for k, v in record.items() if set(nouns(k)) & _MAKERS]
    return all(isinstance(maker, str) and _folded(maker) in own for maker in makers)


def _identifies(key: str, value: str) -> bool:
    return bool(set(nouns(key)) & _OWN) and (is_email(value) or is_account(value))


def _folded(value: str) -> str:
    """Return an address or an account as it is compared: small, or without spaces."""
    return value.lower() if is_email(value) else value.replace(" ", "").upper()
