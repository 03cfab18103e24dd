"""Client certificates: TLS has verified them, the settings say which agents they are.

Rule: a certificate is an agent by a URI among its alternative names, or by its common
name, exactly as the settings write it. One that they do not name is nobody.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final

from bus.config.edge import CertificateSettings
from bus.core.edgeerrors import UnauthenticatedError
from bus.core.edgelimits import PROOFS_CACHED_MAX
from bus.core.errors import ConfigurationError
from bus.edge.caller import Presented, Scope
from bus.edge.packages import needed
from bus.edge.proofs import Proof

_NS_PER_S: Final = 1_000_000_000
_NAMED_CHARS: Final = 16


class Certificates:
    """Proves certificates by the settings' list of them.

    Raises:
        ConfigurationError: one is named twice, or packages are missing.
    """

    def __init__(self, told: tuple[CertificateSettings, ...]) -> None:
        self._x509 = needed("cryptography.x509", "certificates")
        self._known: OrderedDict[bytes, Proof] = OrderedDict()
        self._agents: dict[tuple[str, str], CertificateSettings] = {}
        for one in told:
            key = ("uri", one.uri) if one.uri is not None else ("name", one.name or "")
            if key in self._agents:
                raise ConfigurationError(f"certificates: {key[1]} is there twice")
            self._agents[key] = one

    async def prove(self, shown: Presented) -> Proof | None:
        """Return the agent that a certificate is; None if none is shown.

        Raises:
            UnauthenticatedError: it is nobody's, or cannot be read.
        """
        if shown.certificate is None:
            return None
        digest = hashlib.sha256(shown.certificate).digest()
        known = self._known.get(digest)
        if known is None:
            name = f"certificate {digest.hex()[:_NAMED_CHARS]}"
            known = self._known[digest] = self._prove(shown.certificate, name)
            if len(self._known) > PROOFS_CACHED_MAX:
                self._known.popitem(last=False)
        return known

    def _prove(self, der: bytes, name: str) -> Proof:
        try:
            found = self._x509.load_der_x509_certificate(der)
            keys = list(self._keys(found))
        except ValueError:
            raise UnauthenticatedError(f"{name} cannot be read") from None
        told = next((self._agents[key] for key in keys if key in self._agents), None)
        if told is None:
            raise UnauthenticatedError(f"{name} is no agent's")
        return Proof(
            credential=name,
            agent=told.agent,
            scope=Scope(told.scope),
            issued_ns=int(found.not_valid_before_utc.timestamp()) * _NS_PER_S,
            expires_ns=int(found.not_valid_after_utc.timestamp()) * _NS_PER_S,
        )

    def _keys(self, found: Any) -> Iterator[tuple[str, str]]:
        """Yield what a certificate may be known by: its URIs, then its common name."""
        x509 = self._x509
        try:
            kind = x509.SubjectAlternativeName
            names = found.extensions.get_extension_for_class(kind).value
            for uri in names.get_values_for_type(x509.UniformResourceIdentifier):
                yield "uri", uri
        except x509.ExtensionNotFound:
            pass  # it has no alternative names: its common name may be known
        for part in found.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME):
            yield "name", str(part.value)
