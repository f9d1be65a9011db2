"""What is said of every error: one table of status, code, field and words, for pages and JSON."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from portal import errors, settings
from portal.errors import PortalError
from portal.web.requests import is_api


@dataclass(frozen=True, slots=True)
class Answer:
    """How a typed error is told, to people and programs alike: HTTP status, code, the field it
    belongs to, and the words. The title is that of a page without such a field."""

    status: int
    code: str
    field: str | None
    words: Callable[..., str]
    title: str = "Nothing was changed"


_MOST_LISTED = 5


def _listed(names: list[str]) -> str:
    """“A, B and 7 others”."""
    left = len(names) - _MOST_LISTED
    if left > 1:
        return f"{', '.join(names[:_MOST_LISTED])} and {left} others"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _duration(seconds: int) -> str:
    """How long to wait, in words; never less."""
    minutes = math.ceil(seconds / 60)
    return f"{minutes} minutes" if minutes > 2 else f"{seconds} seconds"


ANSWERS: dict[type[PortalError], Answer] = {
    errors.InvalidName: Answer(422, "invalid_name", "organization_name", lambda e: e.reason),
    errors.NameUnchanged: Answer(
        422,
        "name_unchanged",
        "organization_name",
        lambda e: f"Choose another name: “{e.name}” is its name already",
    ),
    errors.NameNotConfirmed: Answer(
        422,
        "name_not_confirmed",
        "confirm_name",
        lambda e: f"Type “{e.name}” to confirm, as it is shown",
    ),
    errors.InvalidEmail: Answer(
        422, "invalid_email", "email", lambda e: "Enter an e-mail address, like mara@acme.example"
    ),
    errors.WeakPassword: Answer(422, "weak_password", "password", lambda e: e.reason),
    errors.WrongCredentials: Answer(
        401,
        "wrong_credentials",
        "email",
        lambda e: "No account has this e-mail address and password: check both",
    ),
    errors.SlugTaken: Answer(
        409,
        "name_taken",
        "organization_name",
        lambda e: f"The address {e.slug} is taken. Choose a name that differs in letters or digits",
    ),
    errors.EmailTaken: Answer(
        409,
        "email_taken",
        "email",
        lambda e: f"{e.email} has an account: log in, and create the organization there",
    ),
    errors.WrongPassword: Answer(
        422, "wrong_password", "current_password", lambda e: "This is not your password: check it"
    ),
    errors.AddressUnchanged: Answer(
        422, "address_unchanged", "email", lambda e: f"{e.email} is your address already"
    ),
    errors.AddressTaken: Answer(
        409,
        "address_taken",
        None,
        lambda e: (
            f"Another account has {e.email} by now. Your address stays as it is. Nothing was changed."
        ),
        "This address is taken",
    ),
    errors.AddressNotConfirmed: Answer(
        422,
        "address_not_confirmed",
        "confirm_email",
        lambda e: f"Type {e.email} to confirm",
    ),
    errors.AddressVerified: Answer(
        409,
        "address_verified",
        None,
        lambda e: "Your address is verified already. Nothing was changed.",
        "There is nothing to verify",
    ),
    errors.InvalidPersonName: Answer(422, "invalid_person_name", "name", lambda e: e.reason),
    errors.SessionGone: Answer(
        404,
        "session_gone",
        None,
        lambda e: "It has ended, or was never yours. Nothing was changed.",
        "There is no such session",
    ),
    errors.LastOwnerSomewhere: Answer(
        409,
        "last_owner",
        None,
        lambda e: (
            f"You are the last owner of {_listed(e.organizations)}. Make somebody else an owner, or purge what nobody needs, then close your account. Nothing was changed."
        ),
        "Somebody must own it",
    ),
    errors.CodeRequired: Answer(
        401,
        "second_factor_required",
        "code",
        lambda e: "Send a code of the authenticator app, or a recovery code, as code.",
        "A second factor is needed",
    ),
    errors.WrongCode: Answer(
        401,
        "wrong_code",
        "code",
        lambda e: "This code is not valid: enter the newest one. Each code works once",
    ),
    errors.PasskeyRefused: Answer(
        401,
        "passkey_refused",
        "credential",
        lambda e: "The passkey was not accepted: try again, or use another way",
    ),
    errors.PasskeyGone: Answer(
        404,
        "not_found",
        None,
        lambda e: "It was removed, or it is not one of yours.",
        "This passkey is not there",
    ),
    errors.TooManyPasskeys: Answer(
        409,
        "too_many_passkeys",
        "credential",
        lambda e: "You have as many passkeys as there may be: remove one first",
    ),
    errors.InvalidPasskeyName: Answer(
        422, "invalid_passkey_name", "passkey_name", lambda e: e.reason
    ),
    errors.LogInExpired: Answer(
        401,
        "log_in_expired",
        None,
        lambda e: (
            "A log-in waits 10 minutes for the second factor, and for a few tries. Begin again with your password."
        ),
        "This log-in is over",
    ),
    errors.NoSecondFactor: Answer(
        409,
        "no_second_factor",
        None,
        lambda e: "Set up an authenticator app or a passkey first. Nothing was changed.",
        "You have no second factor",
    ),
    errors.FactorNeeded: Answer(
        409,
        "factor_needed",
        None,
        lambda e: (
            f"{e.name} requires a second factor of its members, and this is the last one you have. Add another one first. Nothing was changed."
        ),
        "This is your last second factor",
    ),
    errors.SecondFactorRequired: Answer(
        403,
        "second_factor_required",
        None,
        lambda e: (
            f"{e.name} requires a second factor of its members. You are a member still: set one up, and it opens."
        ),
        "Set up a second factor",
    ),
    errors.InvalidStart: Answer(
        422,
        "invalid_start",
        "starts_on",
        lambda e: f"Choose a day from {e.first:%-d %B %Y} to {e.last:%-d %B %Y}",
    ),
    errors.LinkInvalid: Answer(
        410,
        "link_invalid",
        None,
        lambda e: (
            "Each link in a mail works once and for a while, and a newer one ends the one before. Ask for another where you asked for this one."
        ),
        "This link no longer works",
    ),
    errors.InvitationEnded: Answer(
        410,
        "invitation_ended",
        None,
        lambda e: (
            "It works once, for 7 days, and only as long as whoever invited you may invite; a newer mail ends the link before. Ask to be invited again."
        ),
        "This invitation no longer works",
    ),
    errors.InvitationForAnother: Answer(
        409,
        "invitation_for_another",
        None,
        lambda e: (
            "It is for the address that the mail was sent to, and you are logged in with another. Log out and follow the link again. A link that somebody forwarded to you is not for you: ask to be invited at your own address."
        ),
        "This invitation is for somebody else",
    ),
    errors.InvitationAsleep: Answer(
        409,
        "invitation_asleep",
        None,
        lambda e: (
            f"{e.name} is in the trash. If an owner restores it before your invitation expires, the link works again."
        ),
        "Not now",
    ),
    errors.InvitationClosed: Answer(
        409,
        "invitation_closed",
        None,
        lambda e: (
            f"The invitation of {e.email} was accepted or withdrawn before. Nothing was changed."
        ),
        "This invitation has ended",
    ),
    errors.AlreadyInvited: Answer(
        409,
        "already_invited",
        "email",
        lambda e: f"{e.email} has an invitation: send that again, or withdraw it first",
    ),
    errors.AlreadyMember: Answer(
        409, "already_member", "email", lambda e: f"{e.email} is a member: change the role instead"
    ),
    errors.AlreadyBelongs: Answer(
        409,
        "already_member",
        None,
        lambda e: f"You belong to {e.name}. Your role there was not changed.",
        "You are a member already",
    ),
    errors.AccountExists: Answer(
        409,
        "account_exists",
        "email",
        lambda e: f"{e.email} has an account by now: follow the link again",
    ),
    errors.AddressNotVerified: Answer(
        403,
        "address_not_verified",
        None,
        lambda e: (
            f"Follow the link that was mailed to {e.email}; {settings.current().public_url}/account sends it again. Nothing was changed."
            if is_api()
            else f"Follow the link that was mailed to {e.email}. The page of your account sends it again. Nothing was changed."
        ),
        "Your address is not verified yet",
    ),
    errors.InvalidRole: Answer(
        422,
        "invalid_role",
        "role",
        lambda e: "Choose viewer or admin: ownership is offered, and accepted",
    ),
    errors.LastOwner: Answer(
        409,
        "last_owner",
        None,
        lambda e: (
            f"{e.name} has no other owner. Offer ownership to a member first; once it is accepted, send this again. Nothing was changed."
        ),
        "An organization needs an owner",
    ),
    errors.AlreadyOwner: Answer(
        409,
        "already_owner",
        None,
        lambda e: f"{e.email} is an owner already. Nothing was changed.",
        "There is nothing to offer",
    ),
    errors.AlreadyOffered: Answer(
        409,
        "already_offered",
        None,
        lambda e: (
            f"{e.email} was offered ownership and has not answered. Withdraw that offer to make another. Nothing was changed."
        ),
        "There is an offer already",
    ),
    errors.OfferEnded: Answer(
        409,
        "offer_ended",
        None,
        lambda e: (
            f"It was withdrawn or answered, or who made it is no longer an owner of {e.name}. Nothing was changed."
        ),
        "This offer has ended",
    ),
    errors.NotFound: Answer(
        404,
        "not_found",
        None,
        lambda e: (
            "The organization may have another name now, may be in the trash, or you may not be a member of it."
        ),
        "Nothing is at this address",
    ),
    errors.Forbidden: Answer(
        403,
        "forbidden",
        None,
        lambda e: (
            f"This needs the permission {e.permission}, which your role or key does not have. Nothing was changed."
            if is_api()
            else "Your role in this organization does not allow it. One of its owners can do it, or change your role."
        ),
        "You may not do this",
    ),
    errors.PersonNeeded: Answer(
        403,
        "person_needed",
        None,
        lambda e: (
            "A key can’t do this: it belongs to no account. Send the token of a person, which POST /admin/login gives. Nothing was changed."
        ),
        "Only a person may do this",
    ),
    errors.NotForProvisioning: Answer(
        403,
        "provisioning_only",
        None,
        lambda e: (
            "A provisioning key is for POST /org/create and nothing else. Send an organization’s key, or the token of a person. Nothing was changed."
        ),
        "This key may not do this",
    ),
    errors.KeyNotFound: Answer(
        404,
        "not_found",
        None,
        lambda e: "The organization has no such key. It may have been revoked.",
        "Nothing is at this address",
    ),
    errors.InvalidKeyName: Answer(422, "invalid_name", "name", lambda e: e.reason),
    errors.InvalidGrant: Answer(422, "invalid_permissions", "permissions", lambda e: e.reason),
    errors.InvalidExpiry: Answer(422, "invalid_expiry", "expires_on", lambda e: e.reason),
    errors.KeyExpired: Answer(
        409,
        "key_expired",
        None,
        lambda e: f"The last day of “{e.name}” is over. Make another key. Nothing was changed.",
        "This key has expired",
    ),
    errors.TooManyKeys: Answer(
        409,
        "too_many_keys",
        None,
        lambda e: (
            f"The organization has {e.most} keys, and no more are possible. Revoke one that nobody uses. Nothing was changed."
        ),
        "There are too many keys",
    ),
    errors.AddressChanged: Answer(
        409,
        "organization_renamed",
        None,
        lambda e: (
            f"It is {e.name} now, at {e.slug}. What you sent did not start. Nothing was changed."
        ),
        "This organization was renamed",
    ),
    errors.OperationInProgress: Answer(
        409,
        "operation_in_progress",
        None,
        lambda e: (
            f"{e.name} is {e.doing} since {e.started_at:%H:%M:%S} UTC. One change runs at a time, so what you sent did not start. Nothing was changed. Send it again in a moment."
        ),
        "Another change is running",
    ),
    errors.NotInTrash: Answer(
        409,
        "not_in_trash",
        None,
        lambda e: f"{e.name} is at {e.slug}. Nothing was changed.",
        "It is not in the trash",
    ),
    errors.OrganizationPurged: Answer(
        409,
        "organization_purged",
        None,
        lambda e: (
            f"{e.name} was purged on {e.purged_at:%-d %B %Y}, with all of its documents. Nothing can bring it back from here."
        ),
        "This organization is no more",
    ),
    errors.CollectionLost: Answer(
        409,
        "collection_missing",
        None,
        lambda e: (
            f"The collection of {e.name} is not in the database any more: somebody dropped it there. Nothing was changed. Ask whoever runs the database to bring it back."
        ),
        "The collection is missing",
    ),
    errors.CollectionInTheWay: Answer(
        409,
        "collection_in_the_way",
        None,
        lambda e: (
            f"The database has a collection {e.collection} that the portal did not make, so {e.name} stays where it is. Nothing was changed. Ask whoever runs the database."
        ),
        "Something is in the way",
    ),
    errors.Repeated: Answer(
        409,
        "still_running",
        None,
        lambda e: (
            "What you sent before is still being done. Nothing was done twice. Ask again in a moment."
        ),
        "It is being done already",
    ),
    errors.KeyReused: Answer(
        422,
        "idempotency_key_reused",
        None,
        lambda e: (
            "You sent this Idempotency-Key before with other content. Use a new one for each thing you want done. Nothing was changed."
        ),
        "This key was used before",
    ),
    errors.Overloaded: Answer(
        503,
        "overloaded",
        None,
        lambda e: "Many people ask for this right now. Try again in a few seconds.",
        "The portal is busy",
    ),
    errors.DatabaseUnavailable: Answer(
        503,
        "database_unavailable",
        None,
        lambda e: (
            "The database does not answer. Nothing is known to be lost. Try again in a few seconds."
        ),
        "The portal can’t reach its database",
    ),
    errors.OrganizationTrashed: Answer(
        409,
        "organization_trashed",
        None,
        lambda e: f"{e.name} was deleted meanwhile. An owner can restore it from the trash.",
        "The organization is in the trash",
    ),
    errors.DocumentExists: Answer(
        409,
        "document_exists",
        None,
        lambda e: f"Another document has the same {', '.join(e.key) or 'key'}.",
        "Such a document exists",
    ),
    errors.QueryRefused: Answer(
        422,
        "query_refused",
        None,
        lambda e: f"This can’t be asked: {e.reason}. Nothing was changed.",
        "This can’t be asked",
    ),
    errors.MigrationRunning: Answer(
        503,
        "migration_running",
        None,
        lambda e: (
            "A new version of the portal is starting. Nothing was changed. Try again in a few seconds."
        ),
        "The portal is being updated",
    ),
    errors.StillPreparing: Answer(
        503,
        "not_ready",
        None,
        lambda e: "The portal is starting. Nothing was changed. Try again in a few seconds.",
        "The portal is starting",
    ),
    errors.MigrationFailed: Answer(
        503,
        "migration_failed",
        None,
        lambda e: (
            "A new version of the portal could not start yet, and tries again. Nothing was changed. If it stays, tell whoever runs the portal."
        ),
        "The portal is being updated",
    ),
    errors.WrongHost: Answer(
        400,
        "wrong_host",
        None,
        lambda e: (
            f"The portal is at {settings.current().public_url} and answers under no other host."
        ),
        "This is not the portal’s address",
    ),
    errors.NotAuthenticated: Answer(
        401,
        "not_authenticated",
        None,
        lambda e: (
            "Send a bearer token that is valid, which POST /admin/login gives, or a key that is neither revoked nor expired."
        ),
        "Log in first",
    ),
    errors.MalformedJson: Answer(
        400,
        "malformed_json",
        None,
        lambda e: f"Send one JSON object: {e.reason}. Nothing was changed.",
        "The body can’t be read",
    ),
    errors.InvalidInput: Answer(
        422,
        "invalid_input",
        None,
        lambda e: f"Correct these fields: {', '.join(sorted(e.fields))}. Nothing was changed.",
        "What was sent is not what is asked for",
    ),
    errors.TooManyTries: Answer(
        429,
        "too_many_tries",
        None,
        lambda e: f"Wait {_duration(e.retry_after_seconds)}, then try again. Nothing was changed.",
        "Too many tries",
    ),
}

# Code, title and the way on, for answers that HTTP itself gives.
PAGES = {
    400: ("bad_request", "The request can’t be understood", "Go back, load the page anew, and try again. Nothing was changed."),
    403: ("forbidden", "You may not do this", "Your account has no right to it. Nothing was changed."),
    404: ("not_found", "Nothing is at this address", "Check how it is written, or start from your organizations."),
    405: ("method_not_allowed", "This address can’t be used like that", "Go back and use the buttons of the page. Nothing was changed."),
    409: ("conflict", "Something else was faster", "Load the page anew to see how it is now. Nothing was changed."),
    411: ("length_required", "The request has no length", "Send it with a Content-Length header. Nothing was changed."),
    413: ("too_large", "That is too much", "What you sent is larger than anything the portal needs. Shorten it and send it again."),
    415: ("unsupported_media_type", "This kind of content can’t be read", "Send it as a form does: application/x-www-form-urlencoded. Nothing was changed."),
    429: ("too_many_tries", "Too many tries", "Wait a minute, then try again. Nothing was changed."),
    500: ("internal_error", "Something broke on our side", "It has been noted under the request’s number. Try again; if it stays, tell whoever runs the portal the number."),
    503: ("unavailable", "The portal can’t work right now", "Try again in a few seconds."),
}  # fmt: skip

# What programs call a field that a service knows by another name.
_NEW_NAME = {"organization_name": "new_organization_name"}
API_FIELDS = {"org.update": _NEW_NAME, "org.update_by_body": _NEW_NAME}

# What a program reads instead.
API_WORDS = {
    400: "The request can’t be understood. Nothing was changed.",
    404: "Nothing is at this address: /docs lists what there is.",
    405: "This method is not for this address: the Allow header lists those that are. Nothing was changed.",
    415: "Send it as application/json, not encoded. Nothing was changed.",
}
