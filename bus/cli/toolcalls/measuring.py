"""The work of `assent replay` on suites: prepare their data, judge them, print figures."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.progress import Progress

from bus.cli.output import say
from bus.cli.running import audit_place, console_on
from bus.cli.toolcalls import pairs, showing, suite
from bus.cli.toolcalls.judging import Terms, judge
from bus.config.sources import read_bounded
from bus.core.errors import ConfigurationError
from bus.core.limits import POLICY_DATA_BYTES_MAX
from policy import data as policy_data
from policy.bundle import BUILT_IN

EXAMPLES: Final = BUILT_IN.parent / "examples"


class Asked(msgspec.Struct, frozen=True):
    """What the command line says of a measurement."""

    policy: Path | None
    data: Path | None
    audit: Path | None


def place_of(policy: Path | None) -> Path | None:
    """Return the folder of a policy: as it is, or the example that is called so."""
    if policy is None or policy.exists() or len(policy.parts) != 1:
        return policy
    example = EXAMPLES / policy
    return example if example.is_dir() else policy


def prepare(folders: Sequence[Path], out: Path | None) -> None:
    """Write the policy data of a suite to `out`, or to stdout.

    Raises:
        ConfigurationError: not one folder, or it cannot be read.
        OSError: it cannot be written.
    """
    if len(folders) != 1:
        raise ConfigurationError("--prepare takes one folder of a suite")
    encoded = msgspec.json.encode(suite.prepared(folders[0]), order="sorted")
    text = msgspec.json.format(encoded, indent=2).decode()
    if out is None:
        say(text)
    else:
        out.write_text(f"{text}\n", encoding="utf-8")


def measure(folders: Sequence[Path], asked: Asked, *, as_json: bool) -> None:
    """Judge suites and print their figures; as JSON, one line for each.

    Raises:
        ConfigurationError: no policy is named, or one that is refused.
        MalformedMessageError: a suite that cannot be read.
    """
    folder = place_of(asked.policy)
    if folder is None:
        raise ConfigurationError(
            "a suite needs a policy for tool calls: --policy toolcalls, or a folder"
        )
    wrong = next((place for place in folders if not place.is_dir()), None)
    if wrong is not None:
        raise ConfigurationError(f"{wrong} is no folder; do not mix suites and files")
    for place in folders:
        score = _score(place, folder, asked)
        if as_json:
            say(msgspec.json.encode(score.line).decode())
        else:
            showing.show(console_on(sys.stdout), score, str(asked.policy))


def _score(place: Path, folder: Path, asked: Asked) -> pairs.Score:
    tasks = suite.tasks(place)
    data = suite.prepared(place) if asked.data is None else _read(asked.data)
    tenant = suite.tenant_of(place)
    questions = pairs.questions(tasks)
    with audit_place(asked.audit) as audit, _progress(len(questions)) as advance:
        answers = judge(Terms(folder, data, tenant, audit), questions, advance)
    return pairs.score(tasks, answers, _reading(data, tenant))


def _read(path: Path) -> dict[str, Any]:
    return policy_data.parse(str(path), read_bounded(path, POLICY_DATA_BYTES_MAX))


def _reading(data: dict[str, Any], tenant: str) -> frozenset[str]:
    """Return the tools that the data says have no effect."""
    tools = data.get("tenants", {}).get(tenant, {}).get("tools", {})
    return frozenset(name for name, t in tools.items() if t.get("effect") == "none")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Show progress on stderr where that is a terminal."""
    console = Console(stderr=True)
    with Progress(
        console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("judging", total=total)
        yield lambda: progress.advance(task)
