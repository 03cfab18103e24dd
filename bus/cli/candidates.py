"""A policy named by `--bundle`: a folder of rules, or a bundle, packed or not.

Rule: a bundle's own data counts before that of the settings, and data named on the
command line before both. A packed bundle is signed where the settings have keys; a
folder may be, for it is what a bundle is made of.
"""

from pathlib import Path

from bus import policing
from bus.cli import rules
from bus.config import Settings
from bus.core.errors import ConfigurationError
from policy.bundle import DATA_NAMES, Bundle, Origin
from policy.bundles.files import BundleFiles
from policy.bundles.paths import MANIFEST, SIGNATURES


def logs(given: Settings) -> list[Path]:
    """Return the files of the decision log in the settings, the newest first."""
    file, keep = given.decision_log.file, given.decision_log.keep
    if file is None:
        return []
    turned = [file.with_name(f"{file.name}.{n}") for n in range(1, keep + 1)]
    return [place for place in (file, *turned) if place.exists()]


def read(bundle: str | None, data: str | None, given: Settings) -> Bundle:
    """Read the policy that is meant; the settings' where none is named.

    Raises:
        PolicyLoadError: it is refused.
        ConfigurationError: nothing says which policy, or where its data are.
    """
    if bundle is None:
        return rules.source(None, data, given).read()
    place = Path(bundle)
    if place.is_file() or (place / MANIFEST).is_file():
        if data is not None:
            raise ConfigurationError(f"{place}: a bundle has its own data, not --data")
        signed = place.is_file() or (place / SIGNATURES).is_file()
        keys = policing.bundle_keys(given) if signed else {}
        return BundleFiles((place,), keys).read()
    if data is None and not any((place / name).exists() for name in DATA_NAMES):
        return rules.source(bundle, None, given).read()
    return Origin(None if data is None else Path(data), place).read()
