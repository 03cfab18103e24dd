"""A bundle becomes a policy that is asked in a process of its own, or is refused.

Rule: what a policy's author wrote is parsed, vetted and tried out in the worker, within
its bounds. This process reads the agents from the data, and what the worker tells.
"""

from collections.abc import Mapping

import msgspec

from bus.core.decision import Principal
from bus.core.errors import PolicyLoadError
from bus.core.policylimits import ISOLATED_BUNDLE_BYTES_MAX
from policy import data as policy_data
from policy.bundle import Bundle
from policy.deps import Dependencies
from policy.fields import InputPlan
from policy.isolation import wire
from policy.isolation.engine import IsolatedEngine
from policy.isolation.terms import Terms
from policy.pacing import beside


class IsolatedPolicy(msgspec.Struct, frozen=True):
    """One revision, ready to be asked; `policy.loading.Policy` of the isolated engine.

    Whoever lets go of it closes its engine.
    """

    revision: str
    engine: IsolatedEngine
    dependencies: Dependencies
    plan: InputPlan
    agents: Mapping[str, Principal]


async def load(bundle: Bundle, terms: Terms | None = None) -> IsolatedPolicy:
    """Start workers for a bundle, and have it loaded and tried out in one.

    When it raises or is cancelled, no process is left.

    Raises:
        PolicyLoadError: with file, line and reason where they are known; also when it
            took too long or too much memory, or no worker can be started.
    """
    revision, content, agents = await beside(_prepared, bundle)
    engine = IsolatedEngine(revision, content, terms or Terms())
    try:
        read = await engine.open()
        plan = InputPlan(read.input)
    except BaseException:
        await engine.close()
        raise
    return IsolatedPolicy(engine.revision, engine, read, plan, agents)


def _prepared(bundle: Bundle) -> tuple[str, bytes, Mapping[str, Principal]]:
    """Return the revision, what workers are sent, and the agents; beside the loop."""
    agents = policy_data.agents_of(bundle.data_name, bundle.sliced)
    content = wire.frame(bundle)
    if len(content) > ISOLATED_BUNDLE_BYTES_MAX:
        raise PolicyLoadError(
            f"policy and data: {len(content)} bytes;"
            f" {ISOLATED_BUNDLE_BYTES_MAX} are allowed"
        )
    return bundle.revision, content, agents
