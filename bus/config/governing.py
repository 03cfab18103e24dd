"""What can be set of policy: the engine, where its policy comes from, its log.

Rule: what one engine or one source does not use is not set beside it; the composition
root refuses what does not go together.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from bus.config.sections import Name, Secret, Section, Ttl
from bus.core.limits import (
    DECISION_ALLOW_TTL_S,
    DECISION_DENY_TTL_S,
    DECISIONS_CACHED_MAX,
    DECISIONS_CACHED_MAX_ALLOWED,
    SETTING_WAIT_S_MAX,
)
from bus.core.policylimits import (
    BUNDLE_LONG_POLL_S_MAX,
    BUNDLE_POLL_S,
    BUNDLE_POLL_S_MIN,
    DECISION_CHUNK_BYTES,
    DECISION_FILE_BYTES,
    DECISION_FILES_KEPT,
    DECISION_FILES_KEPT_MAX,
    DECISION_SPOOL_BYTES,
    ISOLATED_DEADLINE_S,
    ISOLATED_DEADLINE_S_MAX,
    ISOLATED_MEMORY_BYTES,
    ISOLATED_MEMORY_BYTES_MIN,
    ISOLATED_WAIT_S,
    ISOLATED_WAIT_S_MAX,
    OPA_CONNECTIONS,
    OPA_CONNECTIONS_MAX,
    OPA_DEADLINE_S,
    OPA_DEADLINE_S_MAX,
)

Engine = Literal["embedded", "isolated", "opa"]


class PolicySettings(Section, frozen=True):
    """Which engine decides, where policy and its data are, how long decisions are kept."""

    engine: Engine = "embedded"
    data: Path | None = None
    folder: Path | None = None
    areas: tuple[Name, ...] = ()
    watch: bool = True
    allow_ttl_seconds: Ttl = DECISION_ALLOW_TTL_S
    deny_ttl_seconds: Ttl = DECISION_DENY_TTL_S
    cache_entries: Annotated[
        int, msgspec.Meta(ge=1, le=DECISIONS_CACHED_MAX_ALLOWED)
    ] = DECISIONS_CACHED_MAX


class IsolatedSettings(Section, frozen=True):
    """Bounds on the worker process of `policy.engine = "isolated"`."""

    deadline_seconds: Annotated[
        float, msgspec.Meta(gt=0, le=ISOLATED_DEADLINE_S_MAX)
    ] = ISOLATED_DEADLINE_S
    wait_seconds: Annotated[float, msgspec.Meta(gt=0, le=ISOLATED_WAIT_S_MAX)] = (
        ISOLATED_WAIT_S
    )
    memory_bytes: Annotated[int, msgspec.Meta(ge=ISOLATED_MEMORY_BYTES_MIN)] = (
        ISOLATED_MEMORY_BYTES
    )


class OpaSettings(Section, frozen=True):
    """The server of `policy.engine = "opa"`."""

    url: Name | None = None
    token: Secret | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    deadline_seconds: Annotated[float, msgspec.Meta(gt=0, le=OPA_DEADLINE_S_MAX)] = (
        OPA_DEADLINE_S
    )
    connections: Annotated[int, msgspec.Meta(ge=1, le=OPA_CONNECTIONS_MAX)] = (
        OPA_CONNECTIONS
    )


class BundleSettings(Section, frozen=True):
    """Policy that comes as bundles: from `files`, or from the server at `url`."""

    files: tuple[Path, ...] = ()
    url: Name | None = None
    token: Secret | None = None
    ca_file: Path | None = None
    poll_seconds: Annotated[
        float, msgspec.Meta(ge=BUNDLE_POLL_S_MIN, le=SETTING_WAIT_S_MAX)
    ] = BUNDLE_POLL_S
    wait_seconds: Annotated[float, msgspec.Meta(ge=0, le=BUNDLE_LONG_POLL_S_MAX)] = 0.0
    last_good_file: Path | None = None
    lifecycle_file: Path | None = None


class BundleKeySettings(Section, frozen=True):
    """A public key that bundles may be signed with."""

    id: Name
    algorithm: Literal["RS256", "ES256", "EdDSA"]
    file: Path
    scope: str = ""


class DecisionLogSettings(Section, frozen=True):
    """Where every decision is logged: a file, a collector, or both; nowhere if none."""

    file: Path | None = None
    rotate_bytes: Annotated[int, msgspec.Meta(ge=DECISION_CHUNK_BYTES)] = (
        DECISION_FILE_BYTES
    )
    keep: Annotated[int, msgspec.Meta(ge=1, le=DECISION_FILES_KEPT_MAX)] = (
        DECISION_FILES_KEPT
    )
    label: Name = "assent"
    collector_url: Name | None = None
    collector_token_file: Path | None = None
    collector_ca_file: Path | None = None
    spool: Path | None = None
    spool_bytes: Annotated[int, msgspec.Meta(ge=2 * DECISION_CHUNK_BYTES)] = (
        DECISION_SPOOL_BYTES
    )
