"""Every kind of lifecycle operation."""

from portal.organizations.lifecycle import creating, moving, renaming, restricting, steps, trashing

PLANS = (
    creating.CREATE,
    renaming.RENAME,
    trashing.TRASH,
    renaming.RESTORE,
    trashing.PURGE,
    steps.REPAIR,
    moving.MOVE,
    restricting.RESTRICT,
)
