"""Every bound on operating a bus: its control channel, and what is broken on purpose.

As in `limits`: unit last, and what happens at a bound is said beside it.
"""

from typing import Final

# The operator's control channel, and what is asked of it.
CONTROL_PATH_BYTES_MAX: Final = (
    107  # of a UNIX socket's address; a longer one is refused
)
CONTROL_REQUEST_BYTES_MAX: Final = 65_536  # of one line; a longer one is refused
CONTROL_RESPONSE_BYTES_MAX: Final = 8 << 20  # a longer one is an error instead
CONTROL_CONNECTIONS_MAX: Final = 16  # served at once; others wait to be taken
CONTROL_BACKLOG: Final = 64  # that wait; past it the system turns them away
CONTROL_READ_S: Final = 5.0  # for a request to come in, or an answer to be taken
CONTROL_COMMAND_S: Final = 30.0  # for a command; then it is cancelled
CONTROL_STOP_S: Final = (
    5.0  # for commands under way at the end, then they are cancelled
)
CONTROL_RETRY_S: Final = 0.1  # before the next try where a connection cannot be taken
TOP_ROWS_MAX: Final = 1_000  # of consumers, and of streams; the rest is counted
TOP_ROWS_PER_TURN: Final = 1_000  # looked at before the loop turns
TOP_REFRESH_S_MIN: Final = 0.1
TOP_REFRESH_S_MAX: Final = 60.0

# Chaos: what may be injected at most, whatever the settings say. Past it: refused.
CHAOS_S: Final = 60.0
CHAOS_S_MAX: Final = 300.0
CHAOS_BLAST_RADIUS: Final = 0.25
CHAOS_ACTIVE_MAX: Final = 16
CHAOS_ENDED_KEPT: Final = 100  # injections that are over; the oldest is forgotten
CHAOS_LATENCY_S_MAX: Final = 5.0
CHAOS_TIMEOUT_S: Final = 5.0  # of a call that hangs, where its part has no deadline
CHAOS_JUMP_S_MAX: Final = 24 * 3600.0  # of the clock, to either side
CHAOS_COMPONENTS_MAX: Final = 64
CHAOS_MEMORY_BYTES_MAX: Final = 4 << 30
CHAOS_MEMORY_STEP_BYTES: Final = 16 << 20
CHAOS_HANDLES_MAX: Final = 65_536
CHAOS_HANDLES_STEP: Final = 256
CHAOS_HANDLES_SPARE: Final = 64  # of those a process may have, left in any case
CHAOS_DISK_BYTES_MAX: Final = 64 << 30
CHAOS_DISK_STEP_BYTES: Final = 64 << 20
CHAOS_CHECK_S: Final = 0.25  # between looks at health while anything is injected
CHAOS_DRAWN_MAX: Final = (
    10_000  # questions drawn and not asked yet; then all are drawn anew
)
