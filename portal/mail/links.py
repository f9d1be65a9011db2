"""Links in mails: always to the host in the settings, whatever a request's headers say, and signed
where following them proves something."""

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import current_app
from itsdangerous import BadData, URLSafeTimedSerializer

from portal import settings
from portal.errors import Action
from portal.mail.errors import InvalidLink

# The signs of a token, which ends in none of those that also end a sentence.
_TOKEN = re.compile(r"[\w.-]*(?<!\.)", re.ASCII)


def link(endpoint: str, **values: Any) -> str:
    """The absolute URL of a page, for a mail."""
    public = urlsplit(settings.current().public_url)
    adapter = current_app.url_map.bind(public.netloc, url_scheme=public.scheme)
    return adapter.build(endpoint, values, force_external=True)


@dataclass(frozen=True, slots=True)
class LinkPurpose:
    """The purpose of a mailed link, how long it is valid, and where to request another."""

    name: str
    valid_for: timedelta
    ask_again: Action | None = None


def sign_token(purpose: LinkPurpose, content: dict[str, Any]) -> str:
    """A token with ``content`` that only this portal can create, valid for one ``purpose``."""
    return _serializer(purpose).dumps(content)


def read_token(purpose: LinkPurpose, token: str) -> dict[str, Any]:
    """The content of a token for this ``purpose``. Raises InvalidLink if forged or expired."""
    longest = int(purpose.valid_for.total_seconds())
    try:
        return _serializer(purpose).loads(without_surroundings(token), max_age=longest)
    except BadData as error:
        raise InvalidLink(purpose.ask_again) from error


def without_surroundings(token: str) -> str:
    """The token of a link, without what was copied along with it: the end of a sentence, a bracket,
    what a mail program adds to all links."""
    found = _TOKEN.match(token)
    return found[0] if found else ""


def _serializer(purpose: LinkPurpose) -> URLSafeTimedSerializer:
    active = settings.current()
    return URLSafeTimedSerializer(
        [*active.secret_key_fallbacks, active.secret_key],
        salt=f"link to {purpose.name}",
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )
