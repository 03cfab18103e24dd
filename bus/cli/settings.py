"""Settings as commands take them: from `--config` and `--set`."""

from collections.abc import Sequence
from pathlib import Path

from bus.config import Loaded, load


def loaded(config: str | None, flags: Sequence[str] | None) -> Loaded:
    """Load the settings; raises `ConfigurationError`."""
    return load(Path(config) if config is not None else None, flags=flags or ())
