"""Provisioning keys, by which a program of the installation signs organizations up for people."""

import structlog
from bson import ObjectId

from portal import clock
from portal.display_names import clean_words
from portal.documents.api_keys import ProvisioningKey
from portal.hashing import hash_secret
from portal.identity.api_keys import credentials
from portal.identity.api_keys.errors import ApiKeyNotFound

log = structlog.get_logger()


def create_provisioning_key(name: str) -> str:
    """Create a key and return it as a program sends it, once. Raises InvalidName."""
    secret = credentials.new_secret()
    key = ProvisioningKey(
        name=clean_words(name), secret_hash=hash_secret(secret), created_at=clock.now()
    ).save()
    log.info("provisioning_key.made", api_key=str(key.id))
    return credentials.format_key(credentials.PROVISIONING_PREFIX, key.id, secret)


def provisioning_keys() -> list[ProvisioningKey]:
    """All provisioning keys, oldest first."""
    return list(ProvisioningKey.objects.order_by("created_at").exclude("secret_hash"))


def revoke_provisioning_key(key_id: str) -> None:
    """Delete the key: its next request is refused. Raises ApiKeyNotFound."""
    if not (ObjectId.is_valid(key_id) and ProvisioningKey.objects(id=key_id).delete()):
        raise ApiKeyNotFound
    log.info("provisioning_key.revoked", api_key=key_id)
