"""`assent cheat`: examples by topic, short enough to be read at once."""

from typing import Annotated, Final

import typer

from bus.cli.output import AsJson, emit, say
from bus.core.errors import UsageError
from bus.core.suggest import hint

TOPICS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "servers": (
        ("Keep a server and its token", "assent context add prod --server wss://bus.example --token-file token.txt"),
        ("Make it the one that is meant", "assent context use prod"),
        ("Ask another one, once", "assent top --context staging"),
    ),
    "publish": (
        ("Publish a JSON body", "assent pub tasks.new '{\"id\": 7}'"),
        ("Publish what another command prints", "date | assent pub notes.time -"),
        ("Publish each line of a file", "assent pub tasks.new - --lines < tasks.jsonl"),
        ("Publish once, however often it is run", "assent pub tasks.new 7 --dedup task-7"),
        ("Deliver it in an hour", "assent pub tasks.new 7 --delay 3600"),
    ),
    "subscribe": (
        ("Print what comes", "assent sub 'tasks.>'"),
        ("As lines of JSON", "assent sub 'tasks.>' --json"),
        ("Miss nothing between two runs", "assent sub 'tasks.>' --durable mine"),
        ("Ask and wait for the reply", "assent req questions.time '{}' --timeout 5"),
    ),
    "streams": (
        ("What is kept", "assent stream list"),
        ("Read it from the beginning", "assent stream read default -n 20"),
        ("Follow it", "assent stream read default --follow"),
        ("How far consumers are", "assent consumer list"),
        ("Take five messages", "assent consumer pull mine --pattern 'tasks.>' -n 5"),
    ),
    "trouble": (
        ("How it stands", "assent top --once"),
        ("What happened to a message", "assent trace MESSAGE_ID"),
        ("What came of it", "assent tree MESSAGE_ID"),
        ("What was given up", "assent dead list"),
        ("Send it once more", "assent dead resend 12"),
        ("What waits for approval", "assent approve list"),
        ("Let it go on", "assent approve release MESSAGE_ID --reason 'looked at'"),
    ),
}  # fmt: skip
"""Each topic's examples: what for, and the command."""

Topic = Annotated[str | None, typer.Argument(metavar="[TOPIC]", help=", ".join(TOPICS))]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("cheat")(cheat)


def cheat(topic: Topic = None, *, as_json: AsJson = False) -> None:
    """Show examples, of one topic or of all."""
    if topic is not None and topic not in TOPICS:
        raise UsageError(
            f"no topic {topic!r}{hint(topic, TOPICS)}; {', '.join(TOPICS)}"
        )
    chosen = TOPICS if topic is None else {topic: TOPICS[topic]}
    document = {
        name: [{"for": what, "command": command} for what, command in examples]
        for name, examples in chosen.items()
    }

    def human() -> None:
        for name, examples in chosen.items():
            say(name)
            for what, command in examples:
                say(f"  # {what}\n  {command}")

    emit(document, human, as_json=as_json)
