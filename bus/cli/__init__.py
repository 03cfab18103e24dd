"""The command `assent`: thin commands over the same calls the library has.

Rule: a command's module is light to import; what it needs is imported when it runs,
so that `assent --help` does not wait for what it does not use.
"""

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, that of the process if None; return the exit code."""
    if arguments is not None:
        from bus.cli.entry import main as run  # noqa: PLC0415 - as below

        return run(arguments)
    if sys.argv[1:3] == ["hook", "claude-code"] and "--help" not in sys.argv:
        from bus.cli import hooking  # noqa: PLC0415 - the one command that must start fast

        hooking.exit_now(hooking.main(sys.argv[3:]))
    from bus.cli.entry import main as run  # noqa: PLC0415 - typer costs more than a hook may

    return run()
