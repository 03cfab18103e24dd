"""The work of `assent token`: on the tokens file of a node, whether it runs or not.

Rule: a token is made only for an agent that policy data name, as the settings say where
they are. A node that runs takes over what is changed here by itself.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from bus.adapters.clock import SystemClock
from bus.adapters.tokens import TokenFile, TokenRow
from bus.cli.settings import loaded
from bus.config import Settings
from bus.core.decision import Principal
from bus.core.edgelimits import NODE_GRACE_S
from bus.core.errors import ConfigurationError, UsageError
from bus.crew import Crew
from bus.edge import defaults
from bus.edge.caller import Scope
from bus.edge.granting import Wish, grant
from bus.edge.tokenops import TokenMade, TokenTold, made, told
from bus.policing import governance
from policy.governance import Governance

DAY_S: Final = 24 * 3600.0


def scope_of(text: str) -> Scope:
    """Return the scope of a name; raises `UsageError` if there is none."""
    try:
        return Scope(text)
    except ValueError:
        known = ", ".join(Scope)
        raise UsageError(f"no scope {text!r}; there are {known}") from None


def settings_of(config: str | None, flags: Sequence[str] | None) -> Settings:
    """Return the settings of the node, with the places that `assent up` uses."""
    return defaults.resolved(loaded(config, flags)).settings


def create(settings: Settings, agent: str, wish: Wish) -> TokenMade:
    """Make a token for an agent.

    Raises:
        UnknownAgentError: policy data name no such agent.
        UsageError, LimitExceededError: the token cannot be as it is wished.
        ConfigurationError: the tokens file or the policy cannot be had.
    """
    clock = SystemClock()
    # Made before the loop runs, because it reads files.
    policy = governance(settings, None, clock)
    principal = asyncio.run(_principal(policy, agent))
    now_ns = clock.now_ns()
    row, text = grant(principal, wish, made_by="assent token create", now_ns=now_ns)
    file = _file(settings)
    try:
        file.add(row)
    finally:
        file.close()
    return made(row, text, now_ns)


def tokens(settings: Settings, agent: str | None) -> list[TokenTold]:
    """Return the tokens there are, or an agent's, oldest first."""
    file = _file(settings, must_exist=True)
    try:
        rows = file.read().tokens.values()
    finally:
        file.close()
    now_ns = SystemClock().now_ns()
    chosen = [row for row in rows if agent in {None, row.agent}]
    return [told(row, now_ns) for row in sorted(chosen, key=_age)]


def revoke(settings: Settings, token_id: str) -> TokenTold:
    """End a token at once.

    Raises:
        UsageError: there is none of that id.
    """
    now_ns = SystemClock().now_ns()
    file = _file(settings, must_exist=True)
    try:
        row = file.revoke(token_id, now_ns)
    finally:
        file.close()
    if row is None:
        raise UsageError(f"no token {token_id}; 'assent token list' shows them")
    return told(row, now_ns)


def _file(settings: Settings, *, must_exist: bool = False) -> TokenFile:
    path = settings.node.tokens_file
    if path is None:
        raise ConfigurationError(
            "node.tokens_file: tokens are kept nowhere; set it, or node.folder"
        )
    if must_exist and not path.exists():
        raise ConfigurationError(
            f"node.tokens_file {path}: not there yet; 'assent up' makes it"
        )
    return TokenFile(path)


def _age(row: TokenRow) -> tuple[int, str]:
    return row.created_ns, row.id


async def _principal(policy: Governance, agent: str) -> Principal:
    """Ask the policy that the node is under who an agent is."""
    failed: list[BaseException] = []
    crew = Crew(failed.append)
    try:
        await policy.open(crew.start, logged=False)
        return policy.authorizer.principal(agent)
    finally:
        await policy.close()
        await crew.end(NODE_GRACE_S)
