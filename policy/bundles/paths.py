"""What a file in a bundle may be called, and what its name makes of it.

Rule: a name means one place below the bundle and one kind of file, for us as for OPA.
OPA writes `/data.json` for `data.json` and tar `./data.json`; no other spelling passes.
"""

from typing import Final, NoReturn

from bus.core.errors import PolicyLoadError
from bus.core.limits import POLICY_DATA_BYTES_MAX, POLICY_FILE_BYTES_MAX
from bus.core.policylimits import (
    BUNDLE_FOLDERS_DEEP_MAX,
    BUNDLE_MANIFEST_BYTES_MAX,
    BUNDLE_PATH_BYTES_MAX,
    BUNDLE_SIGNATURES_BYTES_MAX,
    BUNDLE_YAML_BYTES_MAX,
)

MANIFEST: Final = ".manifest"
SIGNATURES: Final = ".signatures.json"
JSON_NAME: Final = "data.json"
YAML_NAMES: Final = ("data.yaml", "data.yml")
TEST_SUFFIX: Final = "_test.rego"
_OWN_HIDDEN: Final = (MANIFEST, SIGNATURES)
_REFUSED: Final = {
    "patch.json": "a delta bundle; only whole ones (snapshots) are taken",
    "policy.wasm": "compiled WebAssembly, which nobody can review; bundle the Rego",
    "plan.json": "a compiled plan, which nobody can review; bundle the Rego",
}


def normal(raw: str) -> str:
    """Return a file's name as it is listed and signed.

    Raises:
        PolicyLoadError: a path that leads out, is not in plain form, too long or too
            deep; a hidden file; a file of a kind that is refused.
    """
    name = raw.removeprefix("./") if raw.startswith("./") else raw.removeprefix("/")
    if len(name.encode(errors="surrogatepass")) > BUNDLE_PATH_BYTES_MAX:
        _refuse(raw[:80], f"a path longer than {BUNDLE_PATH_BYTES_MAX} bytes")
    if not name.isprintable() or "\\" in name:
        _refuse(repr(raw), "a path with a backslash or control character")
    steps = name.split("/")
    if ".." in steps:
        _refuse(raw, "a path that leads out of the bundle")
    if "" in steps or "." in steps:
        _refuse(raw, "a path that is absolute, empty or has empty steps")
    if len(steps) > BUNDLE_FOLDERS_DEEP_MAX:
        _refuse(raw[:80], f"in more than {BUNDLE_FOLDERS_DEEP_MAX} folders")
    if name not in _OWN_HIDDEN:
        _check_visible(name, steps)
    return name


def _check_visible(name: str, steps: list[str]) -> None:
    if any(step.startswith(".") for step in steps):
        _refuse(name, "hidden; in a bundle only .manifest and .signatures.json are")
    # OPA takes any name that ends so for the bundle's own.
    if steps[-1].endswith((MANIFEST, SIGNATURES.removeprefix("."))):
        _refuse(name, f"could be taken for the bundle's {MANIFEST} or {SIGNATURES}")
    if steps[-1] in _REFUSED:
        _refuse(name, _REFUSED[steps[-1]])


def base(name: str) -> str:
    """Return the last step of a name."""
    return name.rsplit("/", 1)[-1]


def folder(name: str) -> tuple[str, ...]:
    """Return the folders that a file is in: where its data goes."""
    return tuple(name.split("/")[:-1])


def is_rego(name: str) -> bool:
    """Tell whether the file is policy; tests are no part of a bundle."""
    return name.endswith(".rego") and not name.endswith(TEST_SUFFIX)


def is_data(name: str) -> bool:
    """Tell whether the file is data."""
    return base(name) == JSON_NAME or base(name) in YAML_NAMES


def is_structured(name: str) -> bool:
    """Tell whether a signature covers what the file says, and not how it is written.

    As `IsStructuredDoc` of OPA has it: a `data.yml` is not among them.
    """
    return base(name) in (MANIFEST, JSON_NAME, YAML_NAMES[0])


def bytes_max(name: str) -> int:
    """Return how long the file may be."""
    if name == MANIFEST:
        return BUNDLE_MANIFEST_BYTES_MAX
    if name == SIGNATURES:
        return BUNDLE_SIGNATURES_BYTES_MAX
    if base(name) in YAML_NAMES:
        return BUNDLE_YAML_BYTES_MAX
    return POLICY_DATA_BYTES_MAX if base(name) == JSON_NAME else POLICY_FILE_BYTES_MAX


def _refuse(name: str, reason: str) -> NoReturn:
    raise PolicyLoadError(reason, file=name)
