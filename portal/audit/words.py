"""What audit events are called where people read them."""

from collections.abc import Mapping

WORDS = {
    "account.address_asked": "Asked to change the address to {target}",
    "account.address_changed": "Address changed to {target}",
    "account.address_verified": "Address verified",
    "account.closed": "Account closed",
    "account.exported": "Exported what is stored of the account",
    "account.logged_in": "Logged in",
    "account.logged_out": "Logged out",
    "account.password_changed": "Password changed",
    "account.password_recovered": "New password chosen by a mailed link",
    "account.profile_changed": "Profile changed",
    "account.session_ended": "Session ended",
    "account.sessions_ended": "Other sessions ended: {count}",
    "account.verification_sent": "Asked for another mail to verify the address",
    "member.left": "{target} left",
    "organization.created": "Organization created",
    "organization.renamed": "Renamed from {name_before} to {name}",
    "organization.rename_failed": "Rename to {name} undone: {reason}",
    "organization.trashed": "Moved to the trash",
    "organization.trash_failed": "Move to the trash undone: {reason}",
    "organization.restored": "Restored from the trash as {name}",
    "organization.restore_failed": "Restore as {name} undone: {reason}",
    "organization.purged": "Purged",
    "organization.slug_reclaimed": "Address {slug} claimed again",
}
"""By action, filled with the event's details and ``target``, the e-mail of whom it was done to."""


class _Told(dict):
    """Details that were erased, or that an earlier version didn't write, leave a gap."""

    def __missing__(self, name: str) -> str:
        return "…"


def words_of(action: str, details: Mapping[str, str], target_email: str | None) -> str:
    """The event as a sentence of a few words; one that only a newer version knows by its action."""
    told = _Told(details, target=target_email or "somebody")
    return WORDS[action].format_map(told) if action in WORDS else action
