"""Faults injected on purpose: wrapped around a bus's parts only where they are enabled."""

from bus.chaos.authorizer import ChaosAuthorizer
from bus.chaos.ballast import Ballast, Disk, Handles, Memory
from bus.chaos.clock import ChaosClock
from bus.chaos.injector import Injector, Surroundings
from bus.chaos.keeper import ChaosStore
from bus.chaos.recorder import ChaosAudit
from bus.chaos.seam import Seam

__all__ = [
    "Ballast",
    "ChaosAudit",
    "ChaosAuthorizer",
    "ChaosClock",
    "ChaosStore",
    "Disk",
    "Handles",
    "Injector",
    "Memory",
    "Seam",
    "Surroundings",
]
