"""A person's profile: their name, and how the portal looks to them."""

from functools import cache
from zoneinfo import available_timezones

from bson import ObjectId

from portal.audit.trail import record
from portal.database.transactions import transactional
from portal.display_names import InvalidName, clean_words
from portal.documents.accounts import Account, Theme
from portal.errors import NotFound
from portal.identity.accounts.errors import InvalidPersonName
from portal.web.context import RequestContext


def change_profile(
    account_id: ObjectId, name: str, time_zone: str, theme: Theme, context: RequestContext
) -> Account:
    """Change the name, which may be empty; the zone of displayed times, one of ``time_zones`` or
    empty for the browser's; and the theme. Raises InvalidPersonName."""
    profile = {"name": _clean(name), "time_zone": time_zone, "theme": theme}

    @transactional
    def save() -> Account:
        account = Account.objects(id=account_id, closed_at=None).first()
        if account is None:
            raise NotFound
        changed = [field for field, value in profile.items() if (account[field] or "") != value]
        if changed:
            Account.objects(id=account_id).update_one(
                **{f"set__{field}": profile[field] for field in changed}
            )
            record(account, "account.profile_changed", context.origin, fields=", ".join(changed))
        return account

    return save()


@cache
def time_zones() -> tuple[str, ...]:
    """UTC, and the time zones named after places, such as ``Europe/Berlin``."""
    aliases = ("Etc/", "SystemV/", "US/", "posix/", "right/")
    places = {
        zone for zone in available_timezones() if "/" in zone and not zone.startswith(aliases)
    }
    return ("UTC", *sorted(places))


def _clean(name: str) -> str:
    if not name.strip():
        return ""
    try:
        return clean_words(name)
    except InvalidName as error:
        raise InvalidPersonName(error.reason) from error
