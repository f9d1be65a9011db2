"""Passkeys (WebAuthn): what a device signs with, of which the portal knows only the public key."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
import webauthn
from bson import Binary, ObjectId
from mongoengine.errors import NotUniqueError
from webauthn.helpers import (
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from portal import clock, settings
from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.second_factors import Passkey
from portal.documents.sessions import Factor
from portal.identity.second_factors import challenges, enrollment, recovery_codes
from portal.identity.second_factors.errors import (
    InvalidPasskeyName,
    PasskeyNotFound,
    PasskeyRefused,
    TooManyPasskeys,
)
from portal.web.context import RequestContext

MOST = 20
LONGEST_NAME = 60
_LONGEST_CREDENTIAL = 1023  # bytes; WebAuthn, section 4 "Credential ID"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Signed:
    """That a passkey signed a challenge; it has not been used up yet."""

    passkey: Passkey
    sign_count: int


def options_to_add(account: Account, holder: str) -> str:
    """What the browser needs to make a passkey for the account: JSON with a challenge for
    ``holder``."""
    has = Passkey.objects(account=account.id).only("credential")
    options = webauthn.generate_registration_options(
        rp_id=settings.current().passkey_host,
        rp_name="Portal",
        user_id=account.id.binary,
        user_name=account.email,
        challenge=challenges.issue(challenges.REGISTER, holder),
        # One that the device keeps itself can log in alone; a key that can't is a second factor.
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED,
            user_verification=UserVerificationRequirement.PREFERRED,
        ),
        exclude_credentials=[_descriptor(passkey) for passkey in has],
    )
    return webauthn.options_to_json(options)


def options_to_use(purpose: str, holder: str, account_id: ObjectId | None = None) -> str:
    """What the browser needs to sign a challenge for this: with a passkey of the account, or of
    whichever account the person chooses, who has to prove then who they are."""
    has = Passkey.objects(account=account_id).only("credential") if account_id else []
    options = webauthn.generate_authentication_options(
        rp_id=settings.current().passkey_host,
        challenge=challenges.issue(purpose, holder),
        allow_credentials=[_descriptor(passkey) for passkey in has],
        user_verification=(
            UserVerificationRequirement.PREFERRED
            if account_id
            else UserVerificationRequirement.REQUIRED
        ),
    )
    return webauthn.options_to_json(options)


def enroll(
    account_id: ObjectId,
    session_id: str,
    name: str,
    credential: str,
    holder: str,
    context: RequestContext,
) -> list[str]:
    """Add the passkey that the browser made; the recovery codes that came with it, told this once.

    Raises InvalidPasskeyName, PasskeyRefused, TooManyPasskeys, AddressNotVerified.
    """
    name = _clean_name(name)
    made = _registered(credential, holder)
    codes = recovery_codes.generate_codes()

    def body() -> list[str]:
        if len(Passkey.objects(account=account_id).only("id")) >= MOST:
            raise TooManyPasskeys
        passkey = Passkey(
            account=account_id,
            credential=Binary(made.credential_id),
            public_key=Binary(made.credential_public_key),
            sign_count=made.sign_count,
            name=name,
            synced=made.credential_device_type == CredentialDeviceType.MULTI_DEVICE,
            added_at=clock.now(),
        )
        try:
            passkey.save(force_insert=True)
        except NotUniqueError as error:
            raise PasskeyRefused from error
        what = _label_of(name)
        return enrollment.enroll(
            account_id, session_id, codes, "account.passkey_added", what, context
        )

    return transaction(body)


def find_passkey(account_id: ObjectId, passkey_id: str) -> Passkey:
    """One of the account's passkeys. Raises PasskeyNotFound."""
    found = None
    if ObjectId.is_valid(passkey_id):
        found = Passkey.objects(id=passkey_id, account=account_id).first()
    if found is None:
        raise PasskeyNotFound
    return found


def rename(passkey: Passkey, name: str, context: RequestContext) -> None:
    """Call the passkey ``name``. Raises InvalidPasskeyName, PasskeyNotFound."""
    name = _clean_name(name)

    def body() -> None:
        if not Passkey.objects(id=passkey.id).update_one(set__name=name):
            raise PasskeyNotFound
        account = Account.objects.get(id=passkey.account)
        details = {"name": name, "name_before": passkey.name}
        record(account, "account.passkey_renamed", context.origin, **details)

    transaction(body)


def remove(passkey: Passkey, context: RequestContext) -> None:
    """Let the passkey open nothing any more. Raises LastSecondFactor."""

    def body() -> None:
        if Passkey.objects(id=passkey.id).delete():
            what = _label_of(passkey.name)
            enrollment.unenroll(passkey.account, "account.passkey_removed", what, context)

    transaction(body)


def check(credential: str, purpose: str, holder: str, account_id: ObjectId | None = None) -> Signed:
    """Check what a passkey signed: one of the account, or of any account, and then its owner must
    have proved to it who they are. The challenge is good no more. Raises PasskeyRefused."""
    with _refusing():
        sent = parse_authentication_credential_json(credential)
        challenge = parse_client_data_json(sent.response.client_data_json).challenge
    if len(sent.raw_id) > _LONGEST_CREDENTIAL or not challenges.consume(challenge, purpose, holder):
        raise PasskeyRefused
    passkey = Passkey.objects(credential=Binary(sent.raw_id)).first()
    if passkey is None or account_id not in (None, passkey.account):
        raise PasskeyRefused
    handle = sent.response.user_handle
    if handle != passkey.account.binary and (handle or account_id is None):
        raise PasskeyRefused
    with _refusing():
        verified = webauthn.verify_authentication_response(
            credential=sent,
            expected_challenge=challenge,
            expected_rp_id=settings.current().passkey_host,
            expected_origin=settings.current().origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=account_id is None,
        )
    return Signed(passkey, verified.new_sign_count)


def use(signed: Signed) -> str:
    """Note in the caller's transaction that the passkey was used. Raises PasskeyRefused where it
    was removed, or used elsewhere, since it signed."""
    unchanged = Passkey.objects(id=signed.passkey.id, sign_count=signed.passkey.sign_count)
    if not unchanged.update_one(set__sign_count=signed.sign_count, set__used_at=clock.now()):
        raise PasskeyRefused
    return Factor.PASSKEY


def _registered(credential: str, holder: str) -> Any:
    with _refusing():
        sent = parse_registration_credential_json(credential)
        challenge = parse_client_data_json(sent.response.client_data_json).challenge
    if not challenges.consume(challenge, challenges.REGISTER, holder):
        raise PasskeyRefused
    with _refusing():
        return webauthn.verify_registration_response(
            credential=sent,
            expected_challenge=challenge,
            expected_rp_id=settings.current().passkey_host,
            expected_origin=settings.current().origin,
        )


@contextmanager
def _refusing() -> Iterator[None]:
    """Refuse whatever the library stumbles over: it takes apart nested binary formats that a
    stranger filled, and not all that can be wrong with them has an error of its own."""
    try:
        yield
    except Exception as error:
        log.info("passkey.refused", reason=str(error)[:200], kind=type(error).__name__)
        raise PasskeyRefused from error


def _descriptor(passkey: Passkey) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(id=bytes(passkey.credential))


def _clean_name(typed: str) -> str:
    name = " ".join(typed.split())
    if not name:
        raise InvalidPasskeyName("Name it, so that you know it again")
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidPasskeyName(f"Choose {LONGEST_NAME} visible characters at most")
    return name


def _label_of(name: str) -> str:
    return f"passkey “{name}”"
