"""Data for every area of the policy library, beside that of `tests.fakes.policies`."""

from collections.abc import Iterable
from typing import Any

from policy import areas
from tests.fakes import policies

PARTS: dict[str, Any] = {
    "rbac": {"restricted": [{"subject": "plans.secret", "roles": ["worker"]}]},
    "multitenant": {
        "tenants": {
            "acme": {
                "subjects": ["tasks.>", "plans.>", "results.>"],
                "limits": {"depth": 3},
            },
            "other": {"subjects": ["other.>"]},
        }
    },
    "ratelimit": {
        "agent": {"per_second": 100, "burst": 20},
        "subjects": [{"subject": "plans.slow", "per_second": 0, "burst": 1}],
    },
    "compliance": {
        "levels": ["public", "internal"],
        "subjects": [{"subject": "plans.reports", "up_to": "internal"}],
        "review": [{"subject": "plans.exports", "reason": "it leaves the house"}],
    },
    "audit": {
        "full": [{"subject": "plans.payments"}],
        "records": {"subject": "audit.>", "readers": ["worker"]},
    },
    "resources": {
        "subjects": [{"subject": "plans.>", "body_bytes": 100, "ttl_seconds": 5}],
        "priorities": {"critical": ["worker"]},
    },
    "routing": {"closed": [{"subject": "plans.old", "reason": "moved"}]},
    "timebased": {
        "rules": [
            {
                "subject": "plans.deploy",
                "open": [{"days": ["Sunday"], "since": "03:00", "until": "03:01"}],
            }
        ]
    },
}


def data(in_force: Iterable[str] = areas.NAMES) -> dict[str, Any]:
    """Return the data of the built-in policy and of the areas; powers by default."""
    return {
        **policies.data(),
        **{part: told for part, told in PARTS.items() if part in in_force},
    }
