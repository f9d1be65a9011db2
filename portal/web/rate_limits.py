"""Rate limits per minute, counted in MongoDB across all portals."""

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
from portal.documents.attempts import LimitCounter
from portal.hashing import hash_secret
from portal.web.errors import TooManyAttempts

# The names of the settings with the limits.
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
DOCUMENTS = "document_limit"
SECOND_FACTOR = "second_factor_limit"


def count_attempt(limit: str, subject: str) -> None:
    """Count an attempt by or on ``subject`` under ``limit``. Raises TooManyAttempts beyond it;
    PyMongoError where it can't be counted, so that a failure never lifts a limit."""
    active = settings.current()
    if not active.rate_limits:
        return
    item = RateLimitItemPerMinute(getattr(active, limit), namespace=limit)
    # Hashed: what people type is never stored, and all ids have one length.
    hashed = hash_secret(subject)
    if not _limiter().hit(item, hashed):
        left = _limiter().storage.get_expiry(item.key_for(hashed)) - time.time()
        raise TooManyAttempts(retry_after_seconds=max(1, math.ceil(left)))


def count_attempt_of_network(limit: str, address: str | None) -> None:
    """Count an attempt by the network of an IP ``address``, as ``count_attempt`` does."""
    count_attempt(limit, network_of(address))


def network_of(address: str | None) -> str:
    """The network of an IP address: an IPv4 address itself, the /64 of an IPv6 address, which is
    what one customer gets."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return ""
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed)


class _Storage(MongoDBStorage):
    """The counters on the portal's own connection, which already created the indexes."""

    @property
    def _database(self) -> Any:
        return connection.client()[settings.current().master_db]

    def __del__(self) -> None:
        """Leave the portal's connection open."""


@cache
def _limiter() -> FixedWindowRateLimiter:
    counters = LimitCounter._get_collection_name()
    return FixedWindowRateLimiter(_Storage("mongodb://", counter_collection_name=counters))
