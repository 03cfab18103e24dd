"""A recorded decision explained: under the policy that made it, or not at all.

Rule: a record that lacks what the rule reads, and one of another revision, are told as
they were recorded. What comes out otherwise than recorded is a problem, not a detail;
that no revision was recorded is said with the explanation.
"""

import msgspec
from msgspec import UNSET, UnsetType

from bus.core.errors import ConfigurationError
from policy.bundle import Bundle
from policy.deps import dependencies
from policy.engine import Engine
from policy.explain import Explainer, Explanation
from policy.grounds import decided
from policy.replay.differences import Told, change_of, told
from policy.replay.finding import Found
from policy.replay.sorting import missing_fields


class Explained(msgspec.Struct, frozen=True):
    """What was recorded, why it was so, and what stands in the way of telling.

    `unrecorded` tells that the record names no revision: whether the explanation is of
    the policy that decided is then known only by its coming out the same.
    """

    recorded: Told
    missing: tuple[str, ...] = ()
    explanation: Explanation | None = None
    problem: str = ""
    unrecorded: bool = False


def explain_recorded(bundle: Bundle, found: Found) -> Explained:
    """Explain a decision that was looked up; one of no revision as if of the bundle's.

    Raises:
        ConfigurationError: it was made under another revision than the bundle's.
        PolicyLoadError: the bundle is refused, or has no rule that was asked.
        EvaluationError: the recorded input is past a bound.
    """
    recorded = found.recorded
    place = f"{found.line.file}:{found.line.number}"
    if recorded.under not in ("", bundle.revision):
        raise ConfigurationError(
            f"{place}: decided under revision {recorded.under}, but the "
            f"policy at hand is {bundle.revision}: name the one that decided with "
            "--bundle"
        )
    unrecorded = not recorded.under
    result = b"" if isinstance(recorded.result, UnsetType) else bytes(recorded.result)
    was = told(decided(result.decode() or None))
    if recorded.faulty:
        problem = f"policy did not decide: {recorded.error}"
        return Explained(was, problem=problem, unrecorded=unrecorded)
    engine = Engine(bundle.sources, bundle.data_json)
    read = dependencies(engine.program, recorded.rule, engine.builtins)
    paths = ((),) if read.input is None else tuple(read.input)
    missing = missing_fields(recorded, paths)
    if missing:
        problem = f"cannot be explained fully: {', '.join(missing)} was not recorded"
        return Explained(was, missing, problem=problem, unrecorded=unrecorded)
    given = {} if recorded.input is UNSET else recorded.input
    text = msgspec.json.encode(given).decode()
    made = Explainer(bundle, recorded.rule).explain(text)
    problem = ""
    if change_of(was, told(made)) is not None:
        problem = "the policy now decides otherwise than was recorded"
        if read.volatile:
            problem += f": it calls {', '.join(sorted(read.volatile))}"
    if problem and unrecorded:
        problem += "; the log does not tell under which revision"
    return Explained(was, (), made, problem, unrecorded)
