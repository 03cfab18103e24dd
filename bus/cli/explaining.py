"""`assent policy explain|deps`: why a decision came out so, and what a rule can read.

Rule: an explanation is made under the very policy that decided and on all the input it
read, or it says what is lacking and ends with an error. Where the log names no revision
it says so.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bus.cli.output import (
    AsJson,
    ConfigFile,
    Flags,
    complain,
    emit,
    fail,
    printable,
    say,
    table,
)
from bus.core.errors import UsageError

Message = Annotated[
    str | None,
    typer.Argument(metavar="[MESSAGE_ID]", help="A message's id, or a decision's."),
]
Input = Annotated[
    str | None,
    typer.Option("--input", metavar="FILE", help="The input, JSON; - is stdin."),
]
Logs = Annotated[
    list[Path] | None,
    typer.Option("--log", metavar="FILE", help="Recorded decisions; may be repeated."),
]
Policy = Annotated[
    str | None,
    typer.Option("--bundle", metavar="BUNDLE", help="The policy; by default in force."),
]
Folder = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Rego; by default the settings' or the built-in."),
]
Data = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Policy data; by default the settings'."),
]
Looked = Annotated[
    str | None,
    typer.Option("--bundle", metavar="BUNDLE", help="A bundle, in place of a folder."),
]
Rule = Annotated[str, typer.Argument(help="As in data.assent.authz.allow.")]
_CUT_CHARS: Final = 80
_MARKS: Final = {"held": "+", "not held": "-", "called": "f", "failed": "!"}


def explain(  # noqa: PLR0913 - one parameter for each option
    message_id: Message = None,
    input_file: Input = None,
    logs: Logs = None,
    *,
    bundle: Policy = None,
    data: Data = None,
    config: ConfigFile = None,
    flags: Flags = None,
    as_json: AsJson = False,
) -> None:
    """Show the rules that decided on a message, and the input that they read.

    A message is looked up in --log, or in the log of the settings. Exit code 1 if the log hides what was read, policy did not decide, or it decides otherwise now; 2 if another revision decided or nothing is found.
    """
    from bus.cli import candidates, rules  # noqa: PLC0415 - see bus.cli
    from policy import (  # noqa: PLC0415 - as above
        explain as explaining,
        tester,
    )

    settings = rules.settings(config, flags)
    logs = logs or candidates.logs(settings)
    _check(message_id, input_file, logs)
    policy = candidates.read(bundle, data, settings)
    if input_file is not None:
        name = rules.input_name(input_file)
        text = tester.normal(name, rules.input_text(input_file))
        told = [{"explanation": explaining.Explainer(policy).explain(text)}]
        problems: list[str] = []
    else:
        told, problems = _of_message(policy, message_id or "", logs)
    document = {"ok": not problems, "problems": problems, "explanations": told}
    emit(document, lambda: _show(told), as_json=as_json)
    for problem in problems:
        complain(problem)
    if problems:
        fail()


def deps(  # noqa: PLR0913 - one parameter for each option
    rule: Rule,
    folder: Folder = None,
    data: Data = None,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    bundle: Looked = None,
    as_json: AsJson = False,
) -> None:
    """Tell what a rule can read: input, data, built-in functions, other rules."""
    from bus.cli import candidates, rules  # noqa: PLC0415 - see bus.cli
    from policy import explain as explaining  # noqa: PLC0415 - as above

    if bundle is not None and folder is not None:
        raise UsageError("--folder and --bundle name two policies: give one")
    settings = rules.settings(config, flags)
    if bundle is not None:
        policy = candidates.read(bundle, data, settings)
    else:
        policy = _read(rules.source_or_none(folder, data, settings))
    report = explaining.reading(policy, rule)
    read = report.read
    document = {
        "rule": report.rule,
        "defined": report.defined,
        "input": None if read.input is None else _dotted(read.input),
        "data": _dotted(read.data),
        "builtins": sorted(read.builtins),
        "volatile": sorted(read.volatile),
        "cacheable": not read.volatile,
        "rules": report.rules,
    }
    emit(document, lambda: _show_deps(document), as_json=as_json)


def _check(message_id: str | None, input_file: str | None, logs: object) -> None:
    if (message_id is None) == (input_file is None):
        raise UsageError("one of MESSAGE_ID and --input FILE is needed")
    if message_id is not None and not logs:
        raise UsageError(
            "--log FILE, or the setting decision_log.file, is needed to look one up"
        )
    if message_id is not None and not message_id.strip():
        raise UsageError("MESSAGE_ID is empty")


def _of_message(
    policy: Any, wanted: str, logs: Sequence[Path]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the explanations of a message's decisions, and what went wrong."""
    from policy.replay import finding  # noqa: PLC0415 - see bus.cli
    from policy.replay.explained import explain_recorded  # noqa: PLC0415 - as above

    told, problems = [], []
    for found in finding.find(logs, wanted):
        one = explain_recorded(policy, found)
        told.append(
            {
                "decision_id": found.recorded.decision_id,
                "message_id": found.recorded.message_id,
                "file": found.line.file,
                "line": found.line.number,
                "timestamp": found.recorded.timestamp,
                "revision": found.recorded.under,
                "unrecorded": one.unrecorded,
                "recorded": one.recorded,
                "missing": one.missing,
                "explanation": one.explanation,
            }
        )
        if one.problem:
            problems.append(f"{found.line.file}:{found.line.number}: {one.problem}")
    return told, problems


def _read(origin: Any) -> Any:
    """Read a policy; rules can be looked at without data."""
    from policy.bundle import BUILT_IN, Bundle, read_folder  # noqa: PLC0415 - see bus.cli

    if origin is not None:
        return origin.read()
    return Bundle(tuple(read_folder(BUILT_IN)), {}, "data", built_in=True)


def _dotted(paths: Any) -> list[str]:
    return sorted(".".join(path) for path in paths)


def _show(told: Sequence[dict[str, Any]]) -> None:
    for number, one in enumerate(told):
        if number:
            say("")
        made = one["explanation"] or one["recorded"]
        rows = [
            (name, one[name])
            for name in ("decision_id", "message_id", "timestamp", "revision")
            if one.get(name)
        ]
        if not one.get("revision"):
            rows.append(("revision", _revision(one)))
        rows.append(("decision", "allow" if made.allow else "deny"))
        rows += [("reason", reason) for reason in made.reasons]
        rows += [("obligation", _short(obliged)) for obliged in made.obligations]
        rows += [("not recorded", name) for name in one.get("missing", ())]
        table(("what", "found"), rows)
        if one["explanation"] is not None:
            _show_rules(one["explanation"])


def _revision(one: dict[str, Any]) -> str:
    """Tell under what an explanation was made, where no record says it."""
    made = one["explanation"]
    if "unrecorded" not in one:
        return str(made.revision)
    under = "" if made is None else f"; explained under {made.revision}"
    return f"not recorded{under}"


def _show_rules(made: Any) -> None:
    say("")
    table(
        ("", "rule", "where", "came to"),
        [
            (_MARKS[f.state], f.rule, f"{f.file}:{f.line}", _came_to(f))
            for f in made.findings
            if f.decided
        ],
    )
    say("")
    table(
        ("input read", "value"),
        [(f.name, _short(f.value) if f.there else "not there") for f in made.input],
    )


def _came_to(found: Any) -> str:
    if found.error:
        return str(found.error)
    return _short(found.value) if found.state == "held" else str(found.state)


def _short(value: Any) -> str:
    import json  # noqa: PLC0415 - see bus.cli

    text = printable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _CUT_CHARS else f"{text[: _CUT_CHARS - 1]}…"


def _show_deps(document: dict[str, Any]) -> None:
    def told(names: Sequence[str]) -> str:
        return ", ".join(names) or "nothing"

    read = document["input"]
    kept = "yes" if document["cacheable"] else f"no: {told(document['volatile'])}"
    table(
        ("rule", document["rule"]),
        [
            ("defined in", told(document["defined"])),
            ("reads of the input", "all of it" if read is None else told(read)),
            ("of the data", told(document["data"])),
            ("built-in functions", told(document["builtins"])),
            ("other rules", told(document["rules"])),
            ("can be cached", kept),
        ],
    )
