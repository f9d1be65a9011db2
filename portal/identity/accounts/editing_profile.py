"""What a person says of themselves, and how the portal looks to them."""

from functools import cache
from zoneinfo import available_timezones

from bson import ObjectId

from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.display_names import InvalidName, clean_words
from portal.documents.accounts import Account
from portal.errors import NotFound
from portal.identity.accounts.errors import InvalidPersonName
from portal.web.context import RequestContext


def change_profile(
    account_id: ObjectId, name: str, time_zone: str, theme: str, context: RequestContext
) -> Account:
    """Change the name, which may be empty; the zone that times are shown in, one of
    ``time_zones`` or empty for the browser's; and the theme. Raises InvalidPersonName."""
    wanted = {"name": _clean(name), "time_zone": time_zone, "theme": theme}

    def body() -> Account:
        account = Account.objects(id=account_id, closed_at=None).first()
        if account is None:
            raise NotFound
        changed = [field for field, value in wanted.items() if (account[field] or "") != value]
        if changed:
            Account.objects(id=account_id).update_one(
                **{f"set__{field}": wanted[field] for field in changed}
            )
            record(account, "account.profile_changed", context.origin, fields=", ".join(changed))
        return account

    return transaction(body)


@cache
def time_zones() -> tuple[str, ...]:
    """The zones of the world by their places: ``Europe/Berlin``; and UTC."""
    odd = ("Etc/", "SystemV/", "US/", "posix/", "right/")
    places = {zone for zone in available_timezones() if "/" in zone and not zone.startswith(odd)}
    return ("UTC", *sorted(places))


def _clean(name: str) -> str:
    if not name.strip():
        return ""
    try:
        return clean_words(name)
    except InvalidName as error:
        raise InvalidPersonName(error.reason) from error
