"""Passkeys (WebAuthn): key pairs of devices, of which the portal has the public key alone.

What they sign are challenges: issued by the server, valid once, for one purpose and one holder.
"""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog
import webauthn
from bson import Binary, ObjectId
from mongoengine.errors import NotUniqueError
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
    structs,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

from portal import clock, settings
from portal.audit.trail import record
from portal.database.transactions import transactional, within_transaction
from portal.display_names import is_visible
from portal.documents.accounts import Account
from portal.documents.second_factors import Challenge, Passkey
from portal.documents.sessions import Factor
from portal.hashing import hash_secret
from portal.identity.second_factors import enrollment, errors
from portal.identity.sessions.principals import AccountPrincipal
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

REMOVAL = "passkey_removed"
MAX_PASSKEYS = 20
LONGEST_NAME = 60
CHALLENGE_LIFE = timedelta(minutes=5)
REGISTER, CONFIRM, SECOND_STEP, LOG_IN = "register", "confirm", "second factor", "log in"
_LONGEST_CREDENTIAL = 1023  # bytes; WebAuthn, section 4 "Credential ID"
_TIMEOUT_MILLISECONDS = CHALLENGE_LIFE // timedelta(milliseconds=1)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Assertion:
    """A passkey that signed a challenge, and the signature count it sent; not yet recorded."""

    passkey: Passkey
    sign_count: int


def options_to_add(account: Account, holder: str) -> str:
    """The browser's options to create a passkey for the account: JSON with a challenge issued to
    ``holder``."""
    enrolled = Passkey.objects(account=account.id).only("credential")
    options = webauthn.generate_registration_options(
        rp_id=settings.current().passkey_host,
        rp_name=settings.current().issuer,
        user_id=account.id.binary,
        user_name=account.email,
        challenge=_issue_challenge(REGISTER, holder),
        # Only a discoverable credential can log in alone; any other is a second factor.
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.PREFERRED,
            user_verification=structs.UserVerificationRequirement.PREFERRED,
        ),
        exclude_credentials=[_descriptor(passkey) for passkey in enrolled],
        timeout=_TIMEOUT_MILLISECONDS,
    )
    return webauthn.options_to_json(options)


def options_to_use(purpose: str, holder: str, account_id: ObjectId | None = None) -> str:
    """The browser's options to sign a challenge: with a passkey of the account, or with any one
    that verifies its user."""
    allowed = Passkey.objects(account=account_id).only("credential") if account_id else []
    options = webauthn.generate_authentication_options(
        rp_id=settings.current().passkey_host,
        challenge=_issue_challenge(purpose, holder),
        allow_credentials=[_descriptor(passkey) for passkey in allowed],
        user_verification=(
            structs.UserVerificationRequirement.PREFERRED
            if account_id
            else structs.UserVerificationRequirement.REQUIRED
        ),
        timeout=_TIMEOUT_MILLISECONDS,
    )
    return webauthn.options_to_json(options)


def enroll(
    principal: AccountPrincipal, name: str, credential: str, context: RequestContext
) -> list[str]:
    """Add the passkey that the session's browser created; the recovery codes as
    ``enrollment.enroll`` returns them. Raises InvalidPasskeyName, PasskeyRefused, PasskeyKnown,
    TooManyPasskeys, AddressNotVerified."""
    name = _clean_name(name)
    registration = _verify_registration(credential, str(principal.public_session_id))

    @transactional
    def add() -> list[str]:
        if len(Passkey.objects(account=principal.account_id).only("id")) >= MAX_PASSKEYS:
            raise errors.TooManyPasskeys
        passkey = Passkey(
            account=principal.account_id,
            credential=Binary(registration.credential_id),
            public_key=Binary(registration.credential_public_key),
            sign_count=registration.sign_count,
            name=name,
            synced=registration.credential_device_type == structs.CredentialDeviceType.MULTI_DEVICE,
            added_at=clock.now(),
        )
        try:
            passkey.insert()
        except NotUniqueError as error:
            raise errors.PasskeyKnown from error
        return enrollment.enroll(principal, "account.passkey_added", _label_of(name), context)

    return add()


def find_passkey(account_id: ObjectId, passkey_id: str) -> Passkey:
    """One of the account's passkeys. Raises PasskeyNotFound."""
    found = None
    if ObjectId.is_valid(passkey_id):
        found = Passkey.objects(id=passkey_id, account=account_id).first()
    if found is None:
        raise errors.PasskeyNotFound
    return found


@transactional
def rename(passkey: Passkey, name: str, context: RequestContext) -> None:
    """Rename the passkey. Raises InvalidPasskeyName, PasskeyNotFound."""
    name = _clean_name(name)
    if not Passkey.objects(id=passkey.id).update_one(set__name=name):
        raise errors.PasskeyNotFound
    account = Account.objects.get(id=passkey.account)
    details = {"name": name, "name_before": passkey.name}
    record(account, "account.passkey_renamed", context.origin, **details)


@transactional
def remove(passkey: Passkey, context: RequestContext) -> None:
    """Remove the passkey. Raises LastSecondFactor, DuplicateRequest."""
    if Passkey.objects(id=passkey.id).delete():
        claim_key(context, passkey.account, REMOVAL)
        what = _label_of(passkey.name)
        enrollment.unenroll(passkey.account, "account.passkey_removed", what, context)


def check(
    credential: str, purpose: str, holder: str, account_id: ObjectId | None = None
) -> Assertion:
    """Verify a passkey's signature: of one of the account's, or of any that verified its user.
    Consumes the challenge. Raises PasskeyRefused."""
    with _refusing_malformed():
        sent = parse_authentication_credential_json(credential)
        challenge = parse_client_data_json(sent.response.client_data_json).challenge
    if len(sent.raw_id) > _LONGEST_CREDENTIAL:
        raise errors.PasskeyRefused
    _consume_challenge(challenge, purpose, holder)
    passkey = Passkey.objects(credential=Binary(sent.raw_id)).first()
    if passkey is None:
        raise errors.PasskeyUnknown
    if account_id not in (None, passkey.account):
        raise errors.PasskeyOfAnother
    handle = sent.response.user_handle
    if handle != passkey.account.binary and (handle or account_id is None):
        raise errors.PasskeyRefused
    with _refusing_malformed():
        verified = webauthn.verify_authentication_response(
            credential=sent,
            expected_challenge=challenge,
            expected_rp_id=settings.current().passkey_host,
            expected_origin=settings.current().origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=account_id is None,
        )
    return Assertion(passkey, verified.new_sign_count)


def unknown_passkey(credential: str) -> str | None:
    """The id of a passkey that a browser sent and the portal doesn't have, so that the browser can
    be told: JSON for ``PublicKeyCredential.signalUnknownCredential``; else ``None``."""
    if not credential:
        return None
    try:
        with _refusing_malformed():
            sent = base64url_to_bytes(json.loads(credential)["rawId"])
    except errors.PasskeyRefused:
        return None
    if len(sent) > _LONGEST_CREDENTIAL or Passkey.objects(credential=Binary(sent)).first():
        return None
    subject = {"rpId": settings.current().passkey_host, "credentialId": bytes_to_base64url(sent)}
    return json.dumps(subject)


def accepted_passkeys(account_id: ObjectId, accepted: list[Passkey]) -> str:
    """All passkeys of the account, so that the browser no longer offers others of it: JSON for
    ``PublicKeyCredential.signalAllAcceptedCredentials``."""
    subject = {
        "rpId": settings.current().passkey_host,
        "userId": bytes_to_base64url(account_id.binary),
        "allAcceptedCredentialIds": [bytes_to_base64url(p.credential) for p in accepted],
    }
    return json.dumps(subject)


def passkey_owner(account_id: ObjectId, email: str) -> str:
    """The account's address, under which the browser and password managers show its passkeys: JSON
    for ``PublicKeyCredential.signalCurrentUserDetails``."""
    subject = {
        "rpId": settings.current().passkey_host,
        "userId": bytes_to_base64url(account_id.binary),
        "name": email,
        "displayName": email,
    }
    return json.dumps(subject)


@within_transaction
def use(assertion: Assertion) -> Factor:
    """Record that the passkey was used. Raises PasskeyRefused where it was removed, or used
    elsewhere, since it signed."""
    passkey = assertion.passkey
    unchanged = Passkey.objects(id=passkey.id, sign_count=passkey.sign_count)
    if not unchanged.update_one(set__sign_count=assertion.sign_count, set__used_at=clock.now()):
        raise errors.PasskeyRefused
    return Factor.PASSKEY


def _issue_challenge(purpose: str, holder: str) -> bytes:
    """Issue a challenge to ``holder``; one write."""
    challenge = secrets.token_bytes(32)
    Challenge(
        id=hash_secret(challenge),
        purpose=purpose,
        holder=holder,
        expires_at=clock.now() + CHALLENGE_LIFE,
    ).insert()
    return challenge


def _consume_challenge(challenge: bytes, purpose: str, holder: str) -> None:
    """Consume a challenge that was issued for this and not consumed before; one write. Raises
    ChallengeUsed; ChallengeExpired, also for one that was not issued for this."""
    issued = Challenge.objects(id=hash_secret(challenge), purpose=purpose, holder=holder)
    # Kept for a moment, so that a second click is told from a late one. It has expired for long,
    # also for a process of an earlier version, which knows no ``used``.
    now = clock.now()
    unused = issued.filter(used__ne=True, expires_at__gt=now)
    if unused.update_one(set__used=True, set__expires_at=now - CHALLENGE_LIFE):
        return
    raise errors.ChallengeUsed if issued.filter(used=True).first() else errors.ChallengeExpired


def _verify_registration(credential: str, holder: str) -> VerifiedRegistration:
    with _refusing_malformed():
        sent = parse_registration_credential_json(credential)
        challenge = parse_client_data_json(sent.response.client_data_json).challenge
    _consume_challenge(challenge, REGISTER, holder)
    with _refusing_malformed():
        return webauthn.verify_registration_response(
            credential=sent,
            expected_challenge=challenge,
            expected_rp_id=settings.current().passkey_host,
            expected_origin=settings.current().origin,
        )


@contextmanager
def _refusing_malformed() -> Iterator[None]:
    """Raise PasskeyRefused for any error of the library: it parses nested binary formats that a
    stranger filled, and not every flaw in them raises an error of its own."""
    try:
        yield
    except Exception as error:
        log.info("passkey.refused", reason=str(error)[:200], kind=type(error).__name__)
        raise errors.PasskeyRefused from error


def _descriptor(passkey: Passkey) -> structs.PublicKeyCredentialDescriptor:
    return structs.PublicKeyCredentialDescriptor(id=bytes(passkey.credential))


def _clean_name(typed: str) -> str:
    name = " ".join(typed.split())
    if not name:
        raise errors.InvalidPasskeyName.empty()
    if len(name) > LONGEST_NAME or not is_visible(name):
        raise errors.InvalidPasskeyName.too_long_or_invisible(LONGEST_NAME)
    return name


def _label_of(name: str) -> str:
    return f"passkey “{name}”"
