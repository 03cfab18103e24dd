"""What policy wants left out of the decision log: `system.log.mask` and `.drop`.

Rule: where a rule fails, or answers what OPA would not take, nothing of the input and
the result is written; the event itself stays. An `Evaluator` is used on the thread
that made it, so rules are found by the thread that asks them.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from bus.core.errors import PolicyLoadError, PolicyUnavailableError
from bus.core.policylimits import DECISION_MASKS_MAX
from policy.bundle import Bundle
from policy.engine import Engine
from policy.evaluation import EvaluationError, Evaluator

DROP: Final = "data.system.log.drop"
MASK: Final = "data.system.log.mask"
_SECTIONS: Final = ("input", "result", "nd_builtin_cache")
_INDEX: Final = re.compile(r"[0-9]{1,9}")
_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


class Rules(msgspec.Struct, frozen=True):
    """Who answers the two rules, and which of them the policy has."""

    evaluator: Evaluator
    drop: bool
    mask: bool


FindRules = Callable[[], Rules | None]
"""Called in the log's own thread; returns None where the policy has neither rule."""


class MaskError(PolicyUnavailableError):
    """A mask rule answered something that is no set of masks."""

    code = "bad_mask"


class _Mask(msgspec.Struct, frozen=True):
    remove: bool
    parts: tuple[str, ...]
    pointer: str
    value: Any = None


def rules_of(bundle: Bundle) -> Rules | None:
    """Return the rules that a bundle has, ready to be asked on this thread.

    Raises:
        PolicyLoadError: the bundle does not load.
    """
    # Without the data first: it may be large, and most policies have neither rule.
    paths = list(Engine(bundle.sources, "{}").program.rules)
    drop, mask = (_defined(rule, paths) for rule in (DROP, MASK))
    if not drop and not mask:
        return None
    return Rules(Engine(bundle.sources, bundle.data_json), drop, mask)


class Masker:
    """Applies the rules last found to one event after the other. Used by one thread."""

    __slots__ = ("_broken", "_rules", "dropped", "erased", "trouble")

    def __init__(self) -> None:
        self.dropped = 0  # events that policy wanted dropped
        self.erased = 0  # events of which nothing could be shown
        self.trouble = ""  # why, the last time
        self._rules: Rules | None = None
        self._broken = ""

    def follow(self, find: FindRules) -> None:
        """Ask the rules that `find` returns from now on; without them, show nothing."""
        self._rules, self._broken = None, ""
        try:
            self._rules = find()
        except (PolicyLoadError, PolicyUnavailableError) as error:
            self._broken = f"the mask rules cannot be loaded: {error}"

    def release(self) -> None:
        """Let go of the rules, on the thread that asks them; show nothing from here on."""
        self._rules, self._broken = None, "the log has ended"

    def apply(self, line: bytes) -> bytes | None:
        """Return the event as it may be written, or None if it is to be dropped."""
        if self._broken:
            return self._blank(line, self._broken)
        if self._rules is None:
            return line
        try:
            masks = _asked(self._rules, line.decode())
        except (
            EvaluationError,
            MaskError,
            msgspec.MsgspecError,
            RecursionError,
        ) as error:
            return self._blank(line, _told(error))
        if masks is None:
            self.dropped += 1
            return None
        return _masked(line, masks) if masks else line

    def _blank(self, line: bytes, reason: str) -> bytes:
        self.erased += 1
        self.trouble = reason
        event = _decode(line)
        erased = [f"/{name}" for name in _SECTIONS if event.pop(name, None) is not None]
        event["erased"] = [*event.get("erased", []), *erased]
        _forget_digest(event)
        # The reasons of a denial may quote the input as well.
        event["error"] = {"code": "mask_failed", "message": f"mask failed: {reason}"}
        return _encode(event)


def _told(error: Exception) -> str:
    """Return why, without what may quote the input that was to be hidden."""
    if isinstance(error, EvaluationError):
        place = f" at {error.file}:{error.line}" if error.line else ""
        return f"{error.kind}{place}"
    return str(error) if isinstance(error, MaskError) else "the answer is no JSON"


def _defined(rule: str, paths: list[tuple[str, ...]]) -> bool:
    """Tell whether some rule stands at, above or below a path."""
    wanted = tuple(rule.split("."))
    return any(
        path[: len(wanted)] == wanted[: len(path)]
        for path in paths
        if path[:2] == wanted[:2]
    )


def _asked(rules: Rules, event: str) -> list[_Mask] | None:
    """Return the masks for an event, None if it is to be dropped."""
    if rules.drop and _dropped(rules.evaluator.evaluate(DROP, event)):
        return None
    if not rules.mask:
        return []
    return list(_masks(rules.evaluator.evaluate(MASK, event)))


def _dropped(answer: str | None) -> bool:
    told = None if answer is None else _decode(answer)
    if told is not None and not isinstance(told, bool):
        raise MaskError("drop answered no boolean")
    return told is True


def _masks(answer: str | None) -> Iterator[_Mask]:
    told = [] if answer is None else _decode(answer)
    if not isinstance(told, list):
        raise MaskError("mask answered no set")
    if len(told) > DECISION_MASKS_MAX:
        raise MaskError(f"mask answered more than {DECISION_MASKS_MAX} masks")
    for entry in told:
        if isinstance(entry, str):
            yield _mask("remove", entry, None)
        elif isinstance(entry, dict):
            yield _mask(entry.get("op"), entry.get("path"), entry.get("value"))
        else:
            raise MaskError("a mask is a JSON pointer or an object with op and path")


def _mask(operation: object, pointer: object, value: Any) -> _Mask:
    if operation not in ("remove", "upsert"):
        raise MaskError("the op of a mask is remove or upsert")
    if not isinstance(pointer, str) or not pointer.startswith("/"):
        raise MaskError("the path of a mask is a JSON pointer that begins with /")
    parts = tuple(
        part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")
    )
    if parts[0] not in _SECTIONS:
        raise MaskError(f"the path of a mask begins with one of {', '.join(_SECTIONS)}")
    return _Mask(operation == "remove", parts, pointer, value)


def _masked(line: bytes, masks: list[_Mask]) -> bytes:
    event = _decode(line)
    erased: list[str] = []
    masked: list[str] = []
    for mask in masks:
        if mask.remove and _remove(event, mask.parts):
            erased.append(mask.pointer)
        elif not mask.remove and _upsert(event, mask.parts, mask.value):
            masked.append(mask.pointer)
    if erased or masked:
        _forget_digest(event)
        if "error" in event:  # it may quote what is hidden
            event["error"]["message"] = ""
    for name, pointers in (("erased", erased), ("masked", masked)):
        if pointers:
            event[name] = [*event.get(name, []), *pointers]
    return _encode(event)


def _forget_digest(event: dict[str, Any]) -> None:
    """Take out the digest of the input: whoever guesses what is hidden could check it."""
    event.get("custom", {}).pop("input_digest", None)


def _remove(event: dict[str, Any], parts: tuple[str, ...]) -> bool:
    """Remove what is there; False if there is nothing."""
    node: Any = event
    for part in parts[:-1]:
        found, node = _child(node, part)
        if not found:
            return False
    if not _child(node, parts[-1])[0]:
        return False
    del node[_key(node, parts[-1])]
    return True


def _upsert(event: dict[str, Any], parts: tuple[str, ...], value: Any) -> bool:
    """Put a value in its place, making objects on the way; False if none can be there."""
    if parts[0] not in event:
        return False
    node: Any = event
    for part in parts[:-1]:
        found, child = _child(node, part)
        if not found:
            if not isinstance(node, dict):
                return False
            child = node[part] = {}
        node = child
    if not isinstance(node, dict) and not _child(node, parts[-1])[0]:
        return False
    node[_key(node, parts[-1])] = value
    return True


def _child(node: Any, part: str) -> tuple[bool, Any]:
    if isinstance(node, dict):
        return part in node, node.get(part)
    if isinstance(node, list) and _INDEX.fullmatch(part) and int(part) < len(node):
        return True, node[int(part)]
    return False, None


def _key(node: Any, part: str) -> str | int:
    return int(part) if isinstance(node, list) else part
