"""Faults injected on purpose: wrapped around a bus's parts only where they are enabled."""

from bus.chaos.authorizer import ChaosAuthorizer
from bus.chaos.clock import ChaosClock
from bus.chaos.handlers import ChaosHandlers
from bus.chaos.injector import Ballast, Injector, Surroundings
from bus.chaos.keeper import ChaosStore
from bus.chaos.recorder import ChaosAudit
from bus.chaos.seam import Seam

__all__ = [
    "Ballast",
    "ChaosAudit",
    "ChaosAuthorizer",
    "ChaosClock",
    "ChaosHandlers",
    "ChaosStore",
    "Injector",
    "Seam",
    "Surroundings",
]
