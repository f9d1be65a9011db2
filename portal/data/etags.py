"""The ``ETag`` of a document: a keyed hash of its bytes.

A plain hash, or one key for all organizations, would let somebody who sees a part of a document
confirm a guess of the rest.
"""

import base64
import hashlib
import hmac

from bson import ObjectId

from portal import settings
from portal.web.entity_tags import names_one


def etag_of(organization: ObjectId, document: bytes) -> str:
    """The tag of a document's BSON, whatever part of it is shown."""
    return f'"{_tag(settings.current().secret_key, organization, document)}"'


def matches(header: str, organization: ObjectId, document: bytes) -> bool:
    """Tell whether an ``If-Match`` header names the document as it is, also by a tag that was made
    with an earlier secret key."""
    active = settings.current()
    secrets = (active.secret_key, *active.secret_key_fallbacks)
    return names_one(header, [_tag(secret, organization, document) for secret in secrets])


def _tag(secret: str, organization: ObjectId, document: bytes) -> str:
    key = hmac.digest(secret.encode(), b"document-etag:" + organization.binary, hashlib.sha256)
    digest = hmac.digest(key, document, hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
