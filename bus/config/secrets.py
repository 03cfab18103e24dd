"""The stamp keys' document, from its file or from the environment."""

import stat

from bus.config.sections import Secret
from bus.config.settings import StampSettings
from bus.config.sources import read_bounded
from bus.core.errors import KeyRingError
from bus.core.limits import CONFIG_BYTES_MAX


def read_stamp_keys(stamp: StampSettings) -> Secret | None:
    """Return the document with the stamp keys, or None where none is set.

    Raises:
        KeyRingError: both are set, or others than its owner may read the file.
        ConfigurationError: the file cannot be read.
    """
    if stamp.keys_file is None:
        return stamp.keys
    if stamp.keys is not None:
        raise KeyRingError("stamp.keys and stamp.keys_file are both set; unset one")
    text = read_bounded(stamp.keys_file, CONFIG_BYTES_MAX)
    mode = stat.S_IMODE(stamp.keys_file.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyRingError(
            f"{stamp.keys_file}: mode {mode:04o} lets others at the stamp keys; "
            "make it 0600"
        )
    return Secret(text)
