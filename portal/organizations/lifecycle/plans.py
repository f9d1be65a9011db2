"""Every kind of lifecycle operation."""

from portal.organizations.lifecycle import creating, renaming, repairing, trashing

PLANS = (
    creating.CREATE,
    renaming.RENAME,
    trashing.TRASH,
    renaming.RESTORE,
    trashing.PURGE,
    repairing.REPAIR,
)
