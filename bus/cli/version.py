"""The version that is installed."""

from importlib import metadata
from typing import Final

DISTRIBUTION: Final = "assent"
NOT_INSTALLED: Final = "not-installed"


def distribution_version() -> str:
    """Return the installed version, or NOT_INSTALLED when run from a folder."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return NOT_INSTALLED
