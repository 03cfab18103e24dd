"""What an OPA server said, as an answer or as the fault it stands for.

Rule: only status 200 with JSON of the documented form is an answer, or 207 to a batch.
A rule that failed is the rule's fault; everything else that came back is the server's.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec

from bus.core.limits import ERROR_CHARS_MAX, POLICY_NESTING_MAX
from bus.core.policylimits import BUNDLE_REVISION_CHARS_MAX
from policy.engine import depth
from policy.evaluation import Answer, EvaluationError, Kind

T = TypeVar("T")

JSON: Final = "application/json"
OK: Final = 200
MIXED: Final = 207  # of a batch: each answer has a status of its own
FAILED: Final = 500
_REDIRECTS: Final = range(300, 400)
_BAD_QUESTION: Final = frozenset({400, 413, 422})  # ours; another may be answered
NOT_LET_IN: Final = frozenset({401, 403})
_MISSING: Final = msgspec.Raw()
_REVISION_CHARS: Final = 16


class Reply(msgspec.Struct, frozen=True):
    """What came back over HTTP, whole and within its bound."""

    status: int
    content_type: str
    body: bytes


class _Bundle(msgspec.Struct):
    revision: str = ""


class Provenance(msgspec.Struct):
    """Which policy answered: the revision of each bundle."""

    revision: str = ""  # of a server with one bundle, configured the old way
    bundles: dict[str, _Bundle] = {}


class _Document(msgspec.Struct):
    result: msgspec.Raw = _MISSING
    provenance: Provenance | None = None


class _Location(msgspec.Struct):
    file: str = ""
    row: int = 0


class _Detail(msgspec.Struct):
    message: str = ""
    location: _Location | None = None


class _Fault(msgspec.Struct):
    code: str = ""
    message: str = ""
    errors: list[_Detail] | None = None


class _Each(msgspec.Struct):
    """One of a batch: a document, or a fault where `code` is not empty."""

    result: msgspec.Raw = _MISSING
    provenance: Provenance | None = None
    code: str = ""
    message: str = ""
    errors: list[_Detail] | None = None


class _Batch(msgspec.Struct):
    responses: dict[str, _Each] | None = None


_document: Final = msgspec.json.Decoder(_Document).decode
_batch: Final = msgspec.json.Decoder(_Batch).decode
_fault: Final = msgspec.json.Decoder(_Fault).decode


def answer(reply: Reply) -> Answer:
    """Return the answer to one question.

    Raises:
        EvaluationError: it is none; the kind says whose fault that is.
    """
    if reply.status != OK:
        raise refusal(reply)
    told = read(reply, _document)
    return _answered(told.result, told.provenance)


def document(reply: Reply) -> bytes | None:
    """Return the JSON of a document that was read, None if there is none.

    Raises:
        EvaluationError: it is no document.
    """
    if reply.status != OK:
        raise refusal(reply)
    found = bytes(read(reply, _document).result)
    return found or None


def batch(reply: Reply, keys: list[str]) -> dict[str, Answer | EvaluationError]:
    """Return the answer to each question of a batch, or why it has none.

    Raises:
        EvaluationError: the batch as a whole was not answered.
    """
    whole = reply.status in {OK, MIXED}
    if not whole and (reply.status != FAILED or not is_json(reply.content_type)):
        raise refusal(reply)
    told = read(reply, _batch)
    if told.responses is None:
        if reply.status == OK:  # documented so for a rule that is not there
            return dict.fromkeys(keys, Answer(None))
        raise refusal(reply)
    return {key: _each(told.responses.get(key), whole=whole) for key in keys}


def read(reply: Reply, decode: Callable[[bytes], T]) -> T:
    """Return what a body holds.

    Raises:
        EvaluationError: it is not JSON, or not of the form that `decode` reads.
    """
    if not is_json(reply.content_type):
        told = reply.content_type[:ERROR_CHARS_MAX]
        raise _malformed(f"its answer is {told!r}, not {JSON}")
    try:
        return decode(reply.body)
    except (ValueError, RecursionError) as error:  # of msgspec, or not UTF-8
        raise _malformed(f"its answer is not the JSON of one: {error}") from None


def is_json(content_type: str) -> bool:
    """Tell whether a content type is JSON, whatever its parameters."""
    # Almost always nothing else: no call is spent on taking it apart.
    return content_type == JSON or (
        content_type.partition(";")[0].strip().lower() == JSON
    )


def refusal(reply: Reply) -> EvaluationError:
    """Return what a status other than 200 stands for."""
    status = reply.status
    if status in _REDIRECTS:
        return _malformed(f"it redirects (HTTP {status}), which is never followed")
    if status < OK or status in range(OK + 1, 300):
        return _malformed(f"HTTP {status} is no answer")
    fault = _told(reply)
    if status in NOT_LET_IN:
        return _error("unavailable", f"it does not let us in (HTTP {status})")
    if fault is not None and status == FAILED:
        return _failed(fault.message or fault.code, fault.errors)
    said = fault.message[:ERROR_CHARS_MAX] if fault is not None else ""
    kind: Kind = "input" if status in _BAD_QUESTION else "unavailable"
    return _error(kind, f"HTTP {status}", said)


def revision_of(provenance: Provenance | None) -> str:
    """Return the revision that answered, empty unless every bundle has one."""
    if provenance is None:
        return ""
    told = {name: bundle.revision for name, bundle in provenance.bundles.items()}
    return joined(told) if told else _bounded(provenance.revision)


def joined(revisions: Mapping[str, str]) -> str:
    """Return one revision for those of all bundles, empty if one has none."""
    if not revisions or not all(revisions.values()):
        return ""
    if len(revisions) == 1:
        return _bounded(*revisions.values())
    return _bounded(",".join(f"{n}={revisions[n]}" for n in sorted(revisions)))


def _bounded(revision: str) -> str:
    """Return a revision as it is, or its hash where it would not fit in a record."""
    if len(revision) <= BUNDLE_REVISION_CHARS_MAX and revision.isprintable():
        return revision
    content = revision.encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()[:_REVISION_CHARS]


def _each(told: _Each | None, *, whole: bool) -> Answer | EvaluationError:
    """Return one of a batch; under a status that is a failure only faults are."""
    if told is None:
        return _malformed("it left a question of a batch unanswered")
    if told.code:
        return _failed(told.message or told.code, told.errors)
    if not whole:
        return _malformed(f"HTTP {FAILED} is no answer, whatever comes with it")
    try:
        return _answered(told.result, told.provenance)
    except EvaluationError as error:
        return error


def _answered(result: msgspec.Raw, provenance: Provenance | None) -> Answer:
    revision = revision_of(provenance)
    content = bytes(result)
    if not content:
        return Answer(None, revision)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _malformed("its answer is not UTF-8") from None
    if depth(text) > POLICY_NESTING_MAX:
        raise _error("oversize", f"an answer nested deeper than {POLICY_NESTING_MAX}")
    return Answer(text, revision)


def _told(reply: Reply) -> _Fault | None:
    """Return the error in OPA's own form, or None if it is in another."""
    if not is_json(reply.content_type):
        return None
    try:
        fault = _fault(reply.body)
    except (ValueError, RecursionError):
        return None
    return fault if fault.code else None


def _failed(message: str, errors: list[_Detail] | None) -> EvaluationError:
    """Return the error of a rule that failed, with its place where OPA told it."""
    detail = errors[0] if errors else _Detail()
    place = detail.location or _Location()
    said = f"{message}: {detail.message}" if detail.message else message
    return EvaluationError(
        said[:ERROR_CHARS_MAX], file=place.file, line=place.row, kind="evaluation"
    )


def _malformed(reason: str) -> EvaluationError:
    return _error("malformed", reason)


def _error(kind: Kind, reason: str, said: str = "") -> EvaluationError:
    told = f"OPA server: {reason}"[:ERROR_CHARS_MAX]
    return EvaluationError(told, kind=kind, said=said)
