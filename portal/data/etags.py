"""The ``ETag`` of a document: a keyed hash of its bytes.

A plain hash, or one key for all organizations, would let somebody who sees a part of a document
confirm a guess of the rest.
"""

import base64
import hashlib
import hmac
import re

from bson import ObjectId

from portal import settings

_TAG = re.compile(r'"[\w-]{22,43}"')


def etag_of(organization: ObjectId, document: bytes) -> str:
    """The tag of a document's BSON, whatever part of it is shown."""
    return _tag(settings.current().secret_key, organization, document)


def matches(header: str, organization: ObjectId, document: bytes) -> bool:
    """Tell whether an ``If-Match`` header names the document as it is, also by a tag that was made
    with an earlier secret key."""
    if header.strip() == "*":
        return True
    active = settings.current()
    named = set(_TAG.findall(header))
    secrets = (active.secret_key, *active.secret_key_fallbacks)
    return any(_tag(secret, organization, document) in named for secret in secrets)


def _tag(secret: str, organization: ObjectId, document: bytes) -> str:
    key = hmac.digest(secret.encode(), b"document-etag:" + organization.binary, hashlib.sha256)
    digest = hmac.digest(key, document, hashlib.sha256)
    return f'"{base64.urlsafe_b64encode(digest).rstrip(b"=").decode()}"'
