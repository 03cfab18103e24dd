"""From nothing to the first message: processes of their own, medians of seven.

Rule: `start_s` counts from before the process is made to the line its handler prints,
so the interpreter's own start is in it; `import_bus_s` is less that of a bare one.
"""

import asyncio
import subprocess
import sys
from statistics import median
from time import perf_counter
from typing import Final

import msgspec

from bus.app import Bus
from bus.cli.measures.load import COLLECTOR, policy_data, task
from bus.cli.measures.machine import here
from bus.core.errors import ProcessingError

START_S_MAX: Final = 0.5
IMPORT_S_MAX: Final = 0.15
DELIVERED: Final = b"delivered\n"
RUNS: Final = 7
_LIMIT_S: Final = 60.0


class StartFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds, medians of seven processes each."""

    start_s: float
    start_s_max: float
    import_bus_s: float
    import_bus_s_max: float
    from_bus_import_bus_s: float
    interpreter_s: float
    python: str
    cpu: str


def measure(runs: int = RUNS) -> StartFigures:
    """Start processes one after the other, `runs` of each kind."""
    bare_s = _median_s("pass", b"", runs)
    first_s = _median_s(f"from {__name__} import first; first()", DELIVERED, runs)
    root_s = _median_s("import bus", b"", runs)
    whole_s = _median_s("from bus import Bus", b"", runs)
    machine = here()
    return StartFigures(
        start_s=round(first_s, 3),
        start_s_max=START_S_MAX,
        import_bus_s=_beyond(bare_s, root_s),
        import_bus_s_max=IMPORT_S_MAX,
        from_bus_import_bus_s=_beyond(bare_s, whole_s),
        interpreter_s=round(bare_s, 3),
        python=machine.python,
        cpu=machine.cpu,
    )


def first() -> None:
    """Start a bus, publish one message and say that it was delivered."""
    asyncio.run(_first())


async def _first() -> None:
    async with Bus(policy_data()) as bus:
        agent = bus.agent(COLLECTOR)
        arrived = asyncio.Event()

        async def handle(_: bytes) -> None:
            sys.stdout.buffer.write(DELIVERED)
            sys.stdout.flush()
            arrived.set()

        agent.subscribe("0.first", handle)
        (await agent.publish("0.first", task())).unwrap()
        await arrived.wait()


def run(code: str, says: bytes) -> float:
    """Return the seconds until the process says its line, or ends if it has none.

    Raises:
        ProcessingError: it failed.
    """
    started = perf_counter()
    command = [sys.executable, "-c", code]  # our interpreter, our code
    with subprocess.Popen(command, stdout=subprocess.PIPE) as made:  # noqa: S603 - our own interpreter
        stream = made.stdout
        said = b"" if stream is None else stream.readline() if says else stream.read()
        if not says:
            made.wait(_LIMIT_S)
        took = perf_counter() - started
        code_ended = made.wait(_LIMIT_S)
    if code_ended or said != says:
        raise ProcessingError(f"a process of the run ended with {code_ended}: {said!r}")
    return took


def _median_s(code: str, says: bytes, runs: int) -> float:
    return median(run(code, says) for _ in range(runs))


def _beyond(bare_s: float, took_s: float) -> float:
    """Return what was beyond a bare interpreter; less than noise is nothing."""
    return max(0.0, round(took_s - bare_s, 3))
