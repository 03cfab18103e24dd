"""`assent token`: credentials of a node, made, shown and ended."""

from typing import Annotated

import typer

from bus.cli.output import AsJson, ConfigFile, Flags, add_group, emit, say, table

Agent = Annotated[str, typer.Argument(metavar="AGENT", help="As policy data name it.")]
OneAgent = Annotated[
    str | None, typer.Argument(metavar="[AGENT]", help="Only this agent's.")
]
TokenId = Annotated[
    str, typer.Argument(metavar="ID", help="As `assent token list` shows it.")
]
ScopeOption = Annotated[
    str,
    typer.Option("--scope", help="agent, operator or admin; each has the ones before."),
]
Days = Annotated[
    float | None, typer.Option("--days", help="Until it expires; 90 if not said.")
]
Role = Annotated[
    list[str] | None,
    typer.Option("--role", help="It ends when the agent loses this role; all if none."),
]
Label = Annotated[str, typer.Option("--label", help="A word on what it is for.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_group(
        app,
        "token",
        "Make, list and revoke the tokens by which agents and people are let in.",
        {"create": create, "list": listed, "revoke": revoke},
    )


def create(  # noqa: PLR0913, PLR0917 - a command's options are its parameters
    agent: Agent,
    scope: ScopeOption = "agent",
    days: Days = None,
    roles: Role = None,
    label: Label = "",
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make a token for an agent and show it, this once. A running node knows it at once."""
    from bus.cli import tokening  # noqa: PLC0415 - see bus.cli
    from bus.core.edgelimits import TOKEN_S_DEFAULT  # noqa: PLC0415 - see bus.cli
    from bus.edge.granting import Wish  # noqa: PLC0415 - see bus.cli

    wish = Wish(
        scope=tokening.scope_of(scope),
        seconds=TOKEN_S_DEFAULT if days is None else days * tokening.DAY_S,
        roles=tuple(roles) if roles else None,
        label=label,
    )
    made = tokening.create(tokening.settings_of(config, flags), agent, wish)

    def human() -> None:
        say(f"token {made.id} for {made.agent}, {made.scope}, until {made.expires}")
        say(f"shown this once: {made.token}")

    emit(made, human, as_json=as_json)


def listed(
    agent: OneAgent = None,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show the tokens there are, oldest first; what is secret of them is kept nowhere."""
    from bus.cli import tokening  # noqa: PLC0415 - see bus.cli

    found = tokening.tokens(tokening.settings_of(config, flags), agent)
    columns = ("id", "agent", "tenant", "scope", "state", "expires", "label", "made by")
    emit(
        {"tokens": found},
        lambda: table(
            columns,
            [
                (
                    one.id,
                    one.agent,
                    one.tenant,
                    one.scope.value,
                    one.state,
                    one.expires or "never",
                    one.label,
                    one.made_by,
                )
                for one in found
            ],
        ),
        as_json=as_json,
    )


def revoke(
    token: TokenId,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    as_json: AsJson = False,
) -> None:
    """End a token; a running node ends the connections by it within a second."""
    from bus.cli import tokening  # noqa: PLC0415 - see bus.cli

    ended = tokening.revoke(tokening.settings_of(config, flags), token)
    emit(
        ended,
        lambda: say(f"token {ended.id} of {ended.agent} is {ended.state}"),
        as_json=as_json,
    )
