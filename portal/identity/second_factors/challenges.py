"""Challenges for passkeys: issued by the server, valid once, for one purpose and one holder."""

import secrets
from datetime import timedelta

from portal import clock
from portal.documents.second_factors import Challenge
from portal.hashing import hash_secret

LIFE = timedelta(minutes=5)
REGISTER, CONFIRM, SECOND_STEP, LOG_IN = "register", "confirm", "second factor", "log in"


def issue(purpose: str, holder: str) -> bytes:
    """Issue a challenge to ``holder``; one write."""
    challenge = secrets.token_bytes(32)
    Challenge(
        id=hash_secret(challenge), purpose=purpose, holder=holder, expires_at=clock.now() + LIFE
    ).save(force_insert=True)
    return challenge


def consume(challenge: bytes, purpose: str, holder: str) -> bool:
    """Whether ``challenge`` was issued for this and not consumed before. It is consumed now."""
    issued = Challenge.objects(
        id=hash_secret(challenge), purpose=purpose, holder=holder, expires_at__gt=clock.now()
    )
    return bool(issued.delete())
