"""Every bound on recovery, supervision and health.

As in `limits`: unit last, and what happens at a bound is said beside it.
"""

from typing import Final

# Recovery, supervision and health.
RECOVERY_COMPONENTS_MAX: Final = 10_000  # past it another one is refused
RECOVERY_ATTEMPTS_DEFAULT: Final = 5
RECOVERY_ATTEMPTS_MAX: Final = 100  # that a policy may ask for
RECOVERY_MULTIPLIER_MAX: Final = 10.0
RECOVERY_DELAY_MS_DEFAULT: Final = 1_000
RECOVERY_DELAY_MS_MAX_DEFAULT: Final = 60_000
RECOVERY_DELAY_MS_MAX: Final = 3_600_000  # that a policy may ask for
RECOVERY_CHECK_EACH_S: Final = 5.0
RECOVERY_CHECK_S: Final = 5.0  # for one check, then it has failed
RECOVERY_ACT_S: Final = 60.0  # for one recovery action, likewise
RECOVERY_WAIT_S_MIN: Final = 0.001  # that any of these may be set to
RECOVERY_WAIT_S_MAX: Final = 3600.0
RECOVERY_CHECKS_AT_ONCE: Final = 32  # the rest waits its turn, by priority
RECOVERIES_AT_ONCE: Final = 16  # likewise
RECOVERY_HISTORY_MAX: Final = 1_000  # transitions kept; the oldest is forgotten
HEALTH_SAMPLE_EACH_S: Final = 1.0
HEALTH_SAMPLES_KEPT: Final = 300  # the oldest is forgotten
HEALTH_INPUTS_MAX: Final = 1_000  # past it another one is refused
PROCESSES_MAX: Final = 1_000  # that the settings may name
PROCESS_ARGUMENTS_MAX: Final = 256
PROCESS_GRACE_S_MAX: Final = 600.0
PROCESS_GRACE_S: Final = 5.0  # from SIGTERM to SIGKILL
