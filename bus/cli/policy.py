"""`assent policy`: the rules, before anybody lives under them, and what they decided."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bus.cli import explaining, redeciding
from bus.cli.output import (
    AsJson,
    ConfigFile,
    Flags,
    add_group,
    complain,
    emit,
    fail,
    say,
    table,
)
from bus.core.errors import PolicyUnavailableError

Folder = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Rego; by default the settings' or the built-in."),
]
Data = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Policy data; by default the settings'."),
]
Folders = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[DIR]...", help="Rego with tests; the built-in by default."
    ),
]
Query = Annotated[str, typer.Argument(help="As in data.assent.authz.decision.")]
Input = Annotated[
    str | None,
    typer.Option("--input", metavar="FILE", help="The input, JSON; - is stdin."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_group(
        app,
        "policy",
        "Check, test, evaluate, explain or replay policy.",
        {
            "check": check,
            "test": run_tests,
            "eval": evaluate,
            "explain": explaining.explain,
            "deps": explaining.deps,
            "replay": redeciding.replay,
        },
    )


def check(
    folder: Folder = None,
    data: Data = None,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Load policy and data as the bus would; tell what decisions depend on."""
    from bus.cli import rules  # noqa: PLC0415 - see bus.cli
    from policy import tester  # noqa: PLC0415 - see bus.cli

    report = tester.check(rules.source(folder, data, rules.settings(config, flags)))
    ok = not report.problems
    for problem in report.problems:
        complain(problem)
    document = {"ok": ok, "cacheable": ok and report.cacheable, "report": report}
    emit(document, lambda: rules.show_report(report), as_json=as_json)
    if not ok:
        fail()


def run_tests(
    folders: Folders = None,
    data: Data = None,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Run every rule named test_* and tell which are not true."""
    from bus.cli import rules  # noqa: PLC0415 - see bus.cli

    settings = rules.settings(config, flags)
    results = rules.run_tests([Path(name) for name in folders or ()], data, settings)
    failed = [result for result in results if result.ending != "passed"]
    document = {"ok": not failed, "passed": len(results) - len(failed)}

    def show() -> None:
        if failed:
            table(
                ("test", "ending", "why"),
                [(f"{r.file}:{r.line} {r.name}", r.ending, r.detail) for r in failed],
            )
        say(f"{len(results) - len(failed)} passed, {len(failed)} failed")

    emit({**document, "failed": len(failed), "tests": results}, show, as_json=as_json)
    if failed:
        fail()


def evaluate(
    query: Query,
    input_file: Input = None,
    data: Data = None,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Evaluate a query on policy, data and an input; undefined has no results.

    --set policy.folder=DIR takes other rules than the built-in ones.
    """
    from bus.cli import rules  # noqa: PLC0415 - see bus.cli
    from policy import tester  # noqa: PLC0415 - see bus.cli

    settings = rules.settings(config, flags)
    origin = rules.source_or_none(None, data, settings)
    text, name = rules.input_text(input_file), rules.input_name(input_file)
    try:
        results = tester.evaluate(
            query, input_text=text, input_name=name, origin=origin
        )
    except PolicyUnavailableError as error:
        complain(str(error))
        fail()
    emit({"results": results}, lambda: _show_results(results), as_json=as_json)


def _show_results(results: list[dict[str, Any]]) -> None:
    import json  # noqa: PLC0415 - see bus.cli

    if not results:
        say("undefined")
    for result in results:
        for expression in result.get("expressions", ()):
            say(json.dumps(expression.get("value"), indent=2))
