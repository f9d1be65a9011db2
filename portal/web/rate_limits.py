"""How often something may be tried in a minute, counted in MongoDB for all portals together."""

import math
import time
from functools import cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from limits import RateLimitItemPerMinute
from limits.storage import MongoDBStorage
from limits.strategies import FixedWindowRateLimiter

from portal import settings
from portal.database import connection
from portal.documents.rate_limits import LimitCounter
from portal.hashing import hash_secret
from portal.web.errors import TooManyAttempts

# The settings that say how often.
LOGIN_PER_EMAIL = "login_limit_per_email"
LOGIN_PER_NETWORK = "login_limit_per_network"
SIGNUP = "signup_limit"
PROVISIONING = "provisioning_limit"
PREVIEW = "preview_limit"
RENAMES = "rename_limit"
INVITATIONS = "invitation_limit"
MEMBER_CHANGES = "member_change_limit"
RECOVERY_PER_EMAIL = "recovery_limit_per_email"
RECOVERY_PER_NETWORK = "recovery_limit_per_network"
ADDRESS_MAILS = "address_mail_limit"
SECOND_FACTOR = "second_factor_limit"


def count_try(limit: str, tried: str) -> None:
    """Count one more try of ``tried`` under ``limit``.

    Raises TooManyAttempts beyond it; PyMongoError where it can't be counted, since then nothing may
    be let through.
    """
    active = settings.current()
    if not active.rate_limits:
        return
    item = RateLimitItemPerMinute(getattr(active, limit), namespace=limit)
    # Hashed: what somebody typed is stored nowhere, and a key has one length.
    key = hash_secret(tried)
    if not _limiter().hit(item, key):
        left = _limiter().storage.get_expiry(item.key_for(key)) - time.time()
        raise TooManyAttempts(retry_after_seconds=max(1, math.ceil(left)))


def network_of(address: str | None) -> str:
    """Who shares an ``address``: an IPv4 address is a network by itself, of IPv6 it is the /64
    that one customer is given."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return ""
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed)


class _Storage(MongoDBStorage):
    """The counters on the portal's own connection, whose indexes stand already."""

    @property
    def _database(self) -> Any:
        return connection.client()[settings.current().master_db]

    def __del__(self) -> None:
        """The connection is not this one's to close."""


@cache
def _limiter() -> FixedWindowRateLimiter:
    counters = LimitCounter._get_collection_name()
    return FixedWindowRateLimiter(_Storage("mongodb://", counter_collection_name=counters))
