"""Packages that only some credentials need, imported when they are.

Rule: what a plain installation lacks is said with the command that gets it.
"""

import importlib
from types import ModuleType
from typing import Final

from bus.core.errors import ConfigurationError

EXTRA: Final = "assent[issuers]"


def needed(module: str, purpose: str) -> ModuleType:
    """Return a module of the extra.

    Raises:
        ConfigurationError: it is not installed; says how to get it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{purpose}: the package {error.name} is not installed; "
            f"pip install '{EXTRA}'"
        ) from None
