"""How a worker is started, and how its end is put into words.

Rule: a worker inherits one end of a pipe and nothing else: no file, no environment, no
working directory, no terminal. It imports from where this process does.
"""

import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from policy.isolation.worker import OUT_OF_MEMORY

_ROOT: Final = str(Path(__file__).parents[2])
_BOOT: Final = (
    "import sys; sys.path[:] = sys.argv[1:];"
    " from policy.isolation.worker import main; main()"
)
# Nothing of ours. The engine's allocator would take 1 GiB of address space at once, and
# leave nothing of what a worker may have.
_ENVIRONMENT: Final = {"MIMALLOC_ARENA_RESERVE": "32M"}
_SIGNALS: Final = {number.value: number.name for number in signal.Signals}


def command() -> list[str]:
    """Return the command line of a worker.

    `-I -S`: nothing of the environment, the working directory or the user's own
    packages; it imports from where this process does.
    """
    paths = [path for path in sys.path if Path(path).is_absolute()]
    if _ROOT not in paths:
        paths.append(_ROOT)
    return [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOT, *paths]


def start(argv: Sequence[str]) -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    """Start a process whose standard input is one end of a pipe; return the other.

    This takes 0.3 ms of the loop, as in asyncio itself.

    Raises:
        OSError: it cannot be started.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own command line
                argv,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,  # a Ctrl-C is for the parent alone
            )
        except BaseException:
            ours.close()
            raise
    ours.setblocking(False)
    return ours, process


def told_by(status: int | None) -> str:
    """Return how a process ended, in words."""
    if status is None:
        return "and cannot be killed"
    if status == OUT_OF_MEMORY:
        return "out of memory"
    if status >= 0:
        return f"with status {status}"
    if status == -signal.SIGABRT:
        return "by SIGABRT, as when memory runs out"
    return f"by {_SIGNALS.get(-status, f'signal {-status}')}"
