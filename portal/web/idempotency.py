"""Idempotency keys: a request that is sent twice takes effect once.

The transaction that makes a request's change also claims its idempotency key, as the ``_id`` of a
record: so of any number of requests with one key, one succeeds. The others fail, by the key or by
the first one's change; that was committed together with the record, so a failed request finds the
record then, and need not look for it before.
"""

import hashlib
import json
import re
from typing import Any

from bson import ObjectId
from itsdangerous import Signer
from pymongo.errors import DuplicateKeyError

from portal import clock, settings
from portal.database.transactions import within_transaction
from portal.documents.idempotency import KEPT, FirstResponse, IdempotencyRecord
from portal.web.context import IdempotencyKey, RequestContext
from portal.web.errors import DuplicateRequest

SYNTAX = re.compile(r"[!-~]{1,255}")
"""The syntax of an idempotency key: visible ASCII."""


def program_idempotency_key(
    typed: str, scope: str, method: str, path: str, content: bytes
) -> IdempotencyKey:
    """A program's idempotency key: with other content it is the same key, and rejected."""
    return IdempotencyKey(_digest(typed, scope, method, path), _macs(content))


def form_idempotency_key(
    typed: str, scope: str, method: str, path: str, content: bytes
) -> IdempotencyKey:
    """A form's idempotency key: with other content, as after going back, it is another key."""
    macs = _macs(content)
    return IdempotencyKey(_digest(typed, scope, method, path, macs[0]), macs)


@within_transaction
def claim_key(
    context: RequestContext, organization: ObjectId, kind: str, operation: ObjectId | None = None
) -> None:
    """Claim the request's idempotency key, if any, for its change of the ``organization``. A second
    operation of the same request replaces the first. Raises DuplicateRequest where another request
    claimed the key within 24 hours, which aborts the transaction."""
    key = context.idempotency_key
    if key is None:
        return
    record = IdempotencyRecord(
        mac=key.macs[0],
        request=context.request_id,
        organization=organization,
        kind=kind,
        operation=operation,
        at=clock.now(),
    )
    replaceable = [{"at": {"$lt": clock.now() - KEPT}}, {"request": context.request_id}]
    try:
        IdempotencyRecord._get_collection().replace_one(
            {"_id": key.id, "$or": replaceable}, record.to_mongo().to_dict(), upsert=True
        )
    except DuplicateKeyError as error:
        raise DuplicateRequest from error


@within_transaction
def release_key(key_id: str | None, operation: ObjectId) -> None:
    """Release the idempotency key of an ``operation`` that is rolled back, so that the request can
    be repeated."""
    if key_id:
        IdempotencyRecord.objects(id=key_id, operation=operation).delete()


def find_record(key: IdempotencyKey | None) -> IdempotencyRecord | None:
    """The record of this key from the last 24 hours; one read, none without a key."""
    if key is None:
        return None
    return IdempotencyRecord.objects(id=key.id, at__gte=clock.now() - KEPT).first()


def store_response(
    key: IdempotencyKey, request_id: str, status: int, body: dict[str, Any], headers: dict[str, str]
) -> None:
    """Store the response, if this request is the one that claimed the key."""
    IdempotencyRecord.objects(id=key.id, request=request_id).update_one(
        set__answer=FirstResponse(status=status, body=body, headers=headers)
    )


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _macs(content: bytes) -> tuple[str, ...]:
    active = settings.current()
    return tuple(
        Signer(secret, salt="request-key", key_derivation="hmac", digest_method=hashlib.sha256)
        .get_signature(content)
        .decode()
        for secret in (active.secret_key, *active.secret_key_fallbacks)
    )
