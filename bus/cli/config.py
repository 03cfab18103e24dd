"""`assent config show|check`: the settings in force, where from, and whether they hold."""

import typer

from bus.cli.output import (
    AsJson,
    ConfigFile,
    Flags,
    add_group,
    emit,
    fail,
    table,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_group(
        app,
        "config",
        "Show or check the settings.",
        {"show": show, "check": check},
    )


def show(
    config: ConfigFile = None, flags: Flags = None, *, as_json: AsJson = False
) -> None:
    """Show every setting, its value and where that comes from; secrets are masked."""
    from bus.cli.settings import loaded  # noqa: PLC0415 - see bus.cli

    values = loaded(config, flags).shown()
    emit(
        {"settings": values},
        lambda: table(
            ("setting", "value", "from"),
            [(value.key, _text(value.value), value.origin) for value in values],
        ),
        as_json=as_json,
    )


def check(
    config: ConfigFile = None, flags: Flags = None, *, as_json: AsJson = False
) -> None:
    """Check that the settings can be honoured: parts are made, files are read."""
    from bus.cli import checks  # noqa: PLC0415 - see bus.cli

    made = checks.of_settings(config, flags)
    checks.report(made, as_json=as_json)
    if not checks.passed(made):
        fail()


def _text(value: object) -> str:
    if value is None or value == ():
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)
