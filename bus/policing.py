"""Settings become the policy of a bus. Below the composition root, and only for it.

Rule: settings that do not go together, or that the engine chosen does not use, are
refused with what to do; nothing set is left unheeded. What few need is imported where
it is used: HTTP alone takes as long to import as all the rest.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from bus import heeding
from bus.config import Settings
from bus.core.errors import ConfigurationError
from bus.ports import Authorizer, Clock
from policy import loading
from policy.authorizer import EmbeddedAuthorizer
from policy.bundle import Bundle, Origin
from policy.governance import Governance, InLoop
from policy.isolation.terms import Terms
from policy.keeping import Keeping
from policy.loading import PolicyFiles, PolicySource

PolicyData = Mapping[str, Any] | Path | str
_NO_DATA: Final = (
    "no policy data: nobody is known, so nobody may do anything; give "
    "Bus(policy_data=...) or set policy.data to a JSON or TOML file"
)


def governance(
    settings: Settings, policy_data: PolicyData | None, clock: Clock
) -> Governance:
    """Return the engine the settings choose, with its policy.

    Raises:
        ConfigurationError: it cannot be had, or settings of another engine are set.
    """
    chosen = settings.policy
    keeping = Keeping(
        allow_ttl_s=chosen.allow_ttl_seconds,
        deny_ttl_s=chosen.deny_ttl_seconds,
        entries=chosen.cache_entries,
    )
    heeding.check_engine(settings, data_given=policy_data is not None)
    if chosen.engine == "opa":
        from policy.opa.address import ServerAddress  # noqa: PLC0415 - slow, see above
        from policy.opa.governance import AtServer  # noqa: PLC0415 - slow, see above

        given = settings.opa
        if given.url is None:
            raise ConfigurationError(
                "opa.url: policy.engine is opa, and no server is named"
            )
        address = ServerAddress(
            url=given.url,
            token=given.token,
            ca_file=given.ca_file,
            cert_file=given.cert_file,
            key_file=given.key_file,
            deadline_s=given.deadline_seconds,
            connections=given.connections,
        )
        return AtServer(address, now_ns=clock.now_ns, keeping=keeping)
    source = policy_source(settings, policy_data, clock)
    if chosen.engine == "embedded":
        made = EmbeddedAuthorizer(source, now_ns=clock.now_ns, keeping=keeping)
        return InLoop(source, made)
    from policy.isolation.governance import InWorker  # noqa: PLC0415 - slow, see above

    terms = _terms(settings)
    return InWorker(source, terms, now_ns=clock.now_ns, keeping=keeping)


def policy_source(
    settings: Settings, policy_data: PolicyData | None, clock: Clock
) -> PolicySource:
    """Return where policy comes from: bundles, or files and data.

    Raises:
        ConfigurationError: neither is named, both are, or a part of it does nothing.
    """
    heeding.check_source(settings, data_given=policy_data is not None)
    given = settings.bundle
    if not given.files and given.url is None:
        return PolicyFiles(_origin(settings, policy_data))
    return _bundles(settings, clock)


def _version() -> str:
    from importlib import metadata  # noqa: PLC0415 - slow, see above

    try:
        return metadata.version("assent")
    except metadata.PackageNotFoundError:
        return "from a folder"


def bundle_keys(settings: Settings) -> Mapping[str, Any]:
    """Return the public keys of bundles by id; raise `ConfigurationError` for a bad one."""
    from policy.bundles.keys import (  # noqa: PLC0415 - slow, see above
        VerificationKey,
        read_pem,
    )

    return {
        key.id: VerificationKey(key.algorithm, read_pem(key.file), key.scope)
        for key in settings.bundle_keys
    }


def _bundles(settings: Settings, clock: Clock) -> PolicySource:
    from policy.bundles.files import BundleFiles  # noqa: PLC0415 - slow, see above
    from policy.bundles.lifecycle import Lifecycle  # noqa: PLC0415 - slow, see above

    given = settings.bundle
    public = bundle_keys(settings)
    lifecycle = None
    if given.lifecycle_file is not None:
        lifecycle = Lifecycle(given.lifecycle_file, now_ns=clock.now_ns)
    if given.url is None:
        return BundleFiles(given.files, public, lifecycle=lifecycle)
    from policy.bundles.download import Remote  # noqa: PLC0415 - slow, see above
    from policy.bundles.lastgood import LastGood  # noqa: PLC0415 - slow, see above
    from policy.bundles.server import BundleServer  # noqa: PLC0415 - slow, see above

    remote = Remote(
        url=given.url,
        token="" if given.token is None else given.token.reveal(),
        ca_file=given.ca_file,
        wait_s=given.wait_seconds,
    )
    kept = None if given.last_good_file is None else LastGood(given.last_good_file)
    return BundleServer(
        remote,
        public,
        last_good=kept,
        try_out=_try_out(settings),
        lifecycle=lifecycle,
        poll_s=given.poll_seconds,
    )


class LoggedDecisions(Protocol):
    """The decision log of a bus, and the authorizer whose decisions are in it."""

    @property
    def authorizer(self) -> Authorizer:
        """Decides, and logs."""

    async def open(self) -> None:
        """Start writing; raise `ConfigurationError` if the log cannot be kept."""

    def follow(self, bundle: Bundle | None) -> None:
        """Mask by the rules of these files from the next decision on."""

    async def close(self) -> None:
        """Write everything; what a collector has not taken stays on disk."""

    async def flush(self) -> None:
        """Wait until all decisions so far are written; raises where that takes long."""

    def health(self) -> tuple[bool, str]:
        """Tell whether decisions are written, and a word on it."""


def decision_log(
    settings: Settings, authorizer: Authorizer, clock: Clock
) -> LoggedDecisions | None:
    """Return the log of every decision, or None where none is kept.

    Raises:
        ConfigurationError: it cannot be kept as it is set.
    """
    made = log_settings(settings)
    if made is None:
        return None
    from policy.decisionlog.logged import Logged  # noqa: PLC0415 - slow, see above

    return Logged(made, authorizer, clock)


def log_settings(settings: Settings) -> Any:
    """Return where decisions are logged, a `policy.decisionlog.LogSettings`, or None.

    Raises:
        ConfigurationError: they cannot be logged as it is set; nothing is opened yet.
    """
    given = settings.decision_log
    heeding.check_decision_log(given)
    if given.file is None and given.collector_url is None:
        return None
    from policy.decisionlog import (  # noqa: PLC0415 - slow, see above
        CollectorSettings,
        FileSettings,
        LogSettings,
    )

    collector = None
    if given.collector_url is not None and given.spool is not None:
        collector = CollectorSettings(
            url=given.collector_url,
            spool=given.spool,
            spool_bytes=given.spool_bytes,
            token_file=given.collector_token_file,
            ca_file=given.collector_ca_file,
        )
    file = None
    if given.file is not None:
        file = FileSettings(
            path=given.file, rotate_bytes=given.rotate_bytes, keep=given.keep
        )
    return LogSettings(
        labels={"id": given.label, "version": _version()},
        file=file,
        collector=collector,
    )


def _try_out(settings: Settings) -> Callable[[Bundle], object]:
    """Return what tells whether a first bundle loads, where the engine will load it."""
    if settings.policy.engine != "isolated":
        return loading.build
    from policy.isolation.governance import try_out  # noqa: PLC0415 - slow, see above

    return partial(try_out, terms=_terms(settings))


def _terms(settings: Settings) -> Terms:
    given = settings.isolated
    return Terms(
        deadline_s=given.deadline_seconds,
        wait_s=given.wait_seconds,
        memory_bytes=given.memory_bytes,
    )


def _origin(settings: Settings, policy_data: PolicyData | None) -> Origin:
    chosen = settings.policy
    data = chosen.data if policy_data is None else policy_data
    if data is None and chosen.folder is None:
        raise ConfigurationError(_NO_DATA)
    given = Path(data) if isinstance(data, str) else data
    return Origin(given, chosen.folder, chosen.areas)
