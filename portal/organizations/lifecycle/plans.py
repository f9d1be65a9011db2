"""Every kind of lifecycle operation."""

from portal.organizations.lifecycle import (
    creating,
    purging,
    renaming,
    repairing,
    restoring,
    trashing,
)

PLANS = (
    creating.PLAN,
    renaming.PLAN,
    trashing.PLAN,
    restoring.PLAN,
    purging.PLAN,
    repairing.PLAN,
)
