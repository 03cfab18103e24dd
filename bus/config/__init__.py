"""Settings: from defaults, a TOML file, the environment and flags, each with its origin.

Rule: nothing else in the distribution reads the environment or looks for a settings
file.
"""

from bus.config.loading import Loaded, load
from bus.config.secrets import read_stamp_keys
from bus.config.sections import Secret
from bus.config.settings import Settings

__all__ = ["Loaded", "Secret", "Settings", "load", "read_stamp_keys"]
