"""How many files a process of `python -m benchmarks.edge` may open."""

import resource


def soft_limit_raised() -> int:
    """Let this process open as many files as the system allows; return how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
