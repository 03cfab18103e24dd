"""What every benchmark run by pytest is told first."""

import pytest

from benchmarks import targets


def pytest_configure(config: pytest.Config) -> None:
    """Judge figures, unless the run is a smoke run."""
    targets.judge(figures=not config.getoption("benchmark_disable"))
