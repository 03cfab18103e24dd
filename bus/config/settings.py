"""What can be set, with types, bounds and defaults. One struct for each section.

Rule: every setting is described in `docs/reference/configuration.md`; a test compares.
"""

from pathlib import Path
from typing import Annotated, Any

import msgspec

from bus.config.edge import (
    CertificateSettings,
    HttpSettings,
    IssuerSettings,
    NodeSettings,
)
from bus.config.governing import (
    BundleKeySettings,
    BundleSettings,
    DecisionLogSettings,
    IsolatedSettings,
    OpaSettings,
    PolicySettings,
)
from bus.config.hooking import HooksSettings
from bus.config.keeping import StoreSettings, StreamSettings
from bus.config.operating import (
    ChaosSettings,
    ControlSettings,
    ProcessSettings,
    RecoverySettings,
)
from bus.config.sections import Name, Secret, Section, Wait
from bus.core import subject as grammar
from bus.core.edgelimits import CERTIFICATES_MAX, ISSUERS_MAX
from bus.core.limits import (
    ACK_WAIT_S,
    ACK_WAIT_S_MAX,
    AUDIT_FSYNC_S,
    CONFIG_STAGES_MAX,
    DELIVERIES_MAX,
    DELIVERIES_MAX_ALLOWED,
    DRAIN_S,
    KEYS_MAX,
    PUBLISH_WAIT_S,
    SETTING_WAIT_S_MAX,
    TEMPLATES_MAX,
)
from bus.core.recoverylimits import PROCESSES_MAX
from bus.core.storelimits import STREAMS_MAX

Subjects = Annotated[
    tuple[str, ...], msgspec.Meta(min_length=1, max_length=CONFIG_STAGES_MAX)
]


class BusSettings(Section, frozen=True):
    """Waiting and delivery."""

    drain_seconds: Wait = DRAIN_S
    publish_wait_seconds: Wait = PUBLISH_WAIT_S
    ack_wait_seconds: Annotated[float, msgspec.Meta(gt=0, le=ACK_WAIT_S_MAX)] = (
        ACK_WAIT_S
    )
    max_deliver: Annotated[int, msgspec.Meta(ge=1, le=DELIVERIES_MAX_ALLOWED)] = (
        DELIVERIES_MAX
    )


class ConstitutionSettings(Section, frozen=True):
    """The constitution in force; the built-in one where none is named."""

    file: Path | None = None


class StampSettings(Section, frozen=True):
    """Where the stamp keys come from; made for one run where neither is set."""

    keys_file: Path | None = None
    keys: Secret | None = None


class AuditSettings(Section, frozen=True):
    """The audit record; kept in memory where no file is named."""

    file: Path | None = None
    head_file: Path | None = None
    fsync_seconds: Annotated[float, msgspec.Meta(gt=0, le=SETTING_WAIT_S_MAX)] = (
        AUDIT_FSYNC_S
    )


class MeteringSettings(Section, frozen=True):
    """Where usage records go; kept in memory where no file is named."""

    file: Path | None = None


class ChoiceSettings(Section, frozen=True):
    """A stage or strategy by name, for the subjects under the patterns."""

    name: Name
    subjects: Subjects = (">",)
    options: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        for pattern in self.subjects:
            grammar.parse_pattern(pattern)


class TemplateSettings(Section, frozen=True):
    """A subject pattern that metrics use as a label."""

    subject: str

    def __post_init__(self) -> None:
        grammar.parse_pattern(self.subject)


Choices = Annotated[
    tuple[ChoiceSettings, ...], msgspec.Meta(max_length=CONFIG_STAGES_MAX)
]


class Settings(Section, frozen=True):
    """Everything that can be set."""

    bus: BusSettings = BusSettings()
    policy: PolicySettings = PolicySettings()
    isolated: IsolatedSettings = IsolatedSettings()
    opa: OpaSettings = OpaSettings()
    bundle: BundleSettings = BundleSettings()
    decision_log: DecisionLogSettings = DecisionLogSettings()
    constitution: ConstitutionSettings = ConstitutionSettings()
    stamp: StampSettings = StampSettings()
    audit: AuditSettings = AuditSettings()
    metering: MeteringSettings = MeteringSettings()
    http: HttpSettings = HttpSettings()
    node: NodeSettings = NodeSettings()
    hooks: HooksSettings = HooksSettings()
    store: StoreSettings = StoreSettings()
    control: ControlSettings = ControlSettings()
    chaos: ChaosSettings = ChaosSettings()
    stages: Choices = ()
    strategies: Choices = ()
    streams: Annotated[
        tuple[StreamSettings, ...], msgspec.Meta(max_length=STREAMS_MAX)
    ] = ()
    processes: Annotated[
        tuple[ProcessSettings, ...], msgspec.Meta(max_length=PROCESSES_MAX)
    ] = ()
    recovery: Annotated[
        tuple[RecoverySettings, ...], msgspec.Meta(max_length=PROCESSES_MAX)
    ] = ()
    issuers: Annotated[
        tuple[IssuerSettings, ...], msgspec.Meta(max_length=ISSUERS_MAX)
    ] = ()
    certificates: Annotated[
        tuple[CertificateSettings, ...], msgspec.Meta(max_length=CERTIFICATES_MAX)
    ] = ()
    bundle_keys: Annotated[
        tuple[BundleKeySettings, ...], msgspec.Meta(max_length=KEYS_MAX)
    ] = ()
    templates: Annotated[
        tuple[TemplateSettings, ...], msgspec.Meta(max_length=TEMPLATES_MAX)
    ] = ()
