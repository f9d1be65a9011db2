"""Links in mails: always on the host that the settings name, whatever a request's headers say, and
signed where following one proves something."""

import hashlib
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import current_app
from itsdangerous import BadData, URLSafeTimedSerializer

from portal import settings
from portal.errors import LinkInvalid


def link(endpoint: str, **values: Any) -> str:
    """The address of a page of the portal, for a mail."""
    public = urlsplit(settings.current().public_url)
    adapter = current_app.url_map.bind(public.netloc, url_scheme=public.scheme)
    return adapter.build(endpoint, values, force_external=True)


def sign(purpose: str, content: dict[str, Any]) -> str:
    """A token of ``content`` that only this portal can make, good for one ``purpose``."""
    return _serializer(purpose).dumps(content)


def read(purpose: str, token: str, longest: timedelta) -> dict[str, Any]:
    """What was signed for this ``purpose``. Raises LinkInvalid for what was not, or longer ago
    than ``longest``."""
    try:
        return _serializer(purpose).loads(token, max_age=int(longest.total_seconds()))
    except BadData as error:
        raise LinkInvalid from error


def _serializer(purpose: str) -> URLSafeTimedSerializer:
    active = settings.current()
    return URLSafeTimedSerializer(
        [*active.secret_key_fallbacks, active.secret_key],
        salt=f"link to {purpose}",
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )
