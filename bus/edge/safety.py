"""Settings that would not be safe are refused before anything is served.

Rule: each refusal names the setting and says what to do. Nothing is reached from another
machine without TLS, nor without credentials that outlive the process.
"""

import ipaddress
import ssl
import stat
from pathlib import Path
from typing import Final

from bus.config import Settings
from bus.config.edge import HttpSettings
from bus.core.errors import ConfigurationError

_LOCAL_NAMES: Final = frozenset({"localhost", "ip6-localhost"})


def checked(settings: Settings) -> ssl.SSLContext | None:
    """Return how TLS is spoken, or None where it is not.

    Raises:
        ConfigurationError: what is set is not safe, or cannot be honoured.
    """
    http = settings.http
    _check_together(settings)
    if not is_local(http.host):
        if http.cert_file is None:
            raise ConfigurationError(
                f"http.host: {http.host} is reached from other machines, and without TLS "
                "credentials could be read on the way; set http.cert_file and "
                "http.key_file, or serve on 127.0.0.1"
            )
        if not _has_identity(settings):
            raise ConfigurationError(
                f"http.host: {http.host} is reached from other machines, and nothing says "
                "who may come; set node.folder or node.tokens_file, [[issuers]], or "
                "http.client_ca_file with [[certificates]]"
            )
    return None if http.cert_file is None else _tls(http)


def is_local(host: str) -> bool:
    """Tell whether an address is reached from this machine only."""
    if host.lower() in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def check_private(setting: str, file: Path) -> None:
    """Return if nobody but its owner may read a file; raise `ConfigurationError`."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError as error:
        raise ConfigurationError(
            f"{setting} {file}: {error.strerror or error}"
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            f"{setting} {file}: mode {mode:04o} lets others at the key; make it 0600"
        )


def _check_together(settings: Settings) -> None:
    http = settings.http
    if (http.cert_file is None) != (http.key_file is None):
        raise ConfigurationError(
            "http.cert_file and http.key_file go together: set both for TLS, or none"
        )
    if http.client_ca_file is not None and http.cert_file is None:
        raise ConfigurationError(
            "http.client_ca_file: client certificates need TLS; set http.cert_file and "
            "http.key_file"
        )
    if settings.certificates and http.client_ca_file is None:
        raise ConfigurationError(
            "certificates: nobody says whose certificates count; set http.client_ca_file"
        )
    if http.client_certificates == "required" and http.client_ca_file is None:
        raise ConfigurationError(
            "http.client_certificates: 'required' needs http.client_ca_file"
        )
    for number, one in enumerate(settings.certificates, 1):
        if (one.uri is None) == (one.name is None):
            raise ConfigurationError(
                f"certificates: number {number} ({one.agent}) needs a uri or a name, "
                "and not both"
            )


def _has_identity(settings: Settings) -> bool:
    return (
        settings.node.tokens_file is not None
        or bool(settings.issuers)
        or bool(settings.certificates)
    )


def _tls(http: HttpSettings) -> ssl.SSLContext:
    assert http.cert_file is not None  # noqa: S101 - the caller has looked
    assert http.key_file is not None  # noqa: S101 - as above
    check_private("http.key_file", http.key_file)

    def locked() -> str:
        raise ConfigurationError(
            f"http.key_file {http.key_file}: it is encrypted, and nobody is there to "
            "type the password; give the key as it is, readable by its owner only"
        )

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    try:
        made.load_cert_chain(http.cert_file, http.key_file, password=locked)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"http.cert_file {http.cert_file}, http.key_file {http.key_file}: {error}"
        ) from error
    if http.client_ca_file is not None:
        try:
            made.load_verify_locations(http.client_ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"http.client_ca_file {http.client_ca_file}: {error}"
            ) from error
        required = http.client_certificates == "required"
        made.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return made
