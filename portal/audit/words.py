"""What audit events are called where people read them."""

from collections.abc import Mapping

WORDS = {
    "account.address_verified": "Address verified",
    "account.app_added": "Authenticator app set up",
    "account.app_removed": "Authenticator app removed",
    "account.app_replaced": "Authenticator app replaced",
    "account.browsers_forgotten": "Remembered browsers forgotten",
    "account.confirmed": "Confirmed by {factor}",
    "account.logged_in": "Logged in",
    "account.logged_out": "Logged out",
    "account.passkey_added": "Added {factor}",
    "account.passkey_removed": "Removed {factor}",
    "account.passkey_renamed": "Passkey “{name_before}” renamed to “{name}”",
    "account.recovery_code_used": "Recovery code used",
    "account.recovery_codes_made": "Recovery codes made anew",
    "account.second_factor_asked": "Password given, second factor asked for",
    "organization.created": "Organization created",
    "organization.renamed": "Renamed from {name_before} to {name}",
    "organization.rename_failed": "Rename to {name} undone: {reason}",
    "organization.trashed": "Moved to the trash",
    "organization.trash_failed": "Move to the trash undone: {reason}",
    "organization.restored": "Restored from the trash as {name}",
    "organization.restore_failed": "Restore as {name} undone: {reason}",
    "organization.purged": "Purged",
    "organization.second_factor_lifted": "Second factor no longer required",
    "organization.second_factor_required": "Second factor required from {starts_on}",
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
