"""Claims on slugs. A slug is claimed before it is used; its ``_id`` decides every race."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from portal import clock, settings
from portal.audit.trail import record
from portal.database.paging import join
from portal.database.transactions import within_transaction
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization, Slug, SlugState
from portal.organizations.access.lookup import with_mfa_lockout
from portal.organizations.lifecycle.errors import SlugTaken, TypedSlugTaken
from portal.organizations.lifecycle.names import LONGEST_SLUG
from portal.web.context import RequestContext

MAX_OLD = 100
"""The number of old slugs that an organization holds: renames can't hoard names, nor make an
organization too large to be deleted in one transaction."""

Written = TypeVar("Written")


@within_transaction
def claim_slug(
    slug: str,
    organization: ObjectId,
    state: SlugState,
    context: RequestContext,
    holder: ObjectId | None = None,
) -> None:
    """Claim ``slug`` for the ``organization``.

    Free are slugs that nobody holds, old ones once their hold has expired, and old ones of the
    ``holder``, an organization that the caller owns (``owned_holder``); its audit trail records
    that it gave the slug up. Raises SlugTaken.
    """
    expired = {"held_until": {"$lt": clock.now()}}
    free = {"_id": slug, "state": SlugState.OLD, "$or": [expired, {"organization": holder}]}
    # Undoing the claim makes the organization's own old slug an old one again; another's is lost.
    own = {"$eq": ["$organization", organization]}
    claim = {
        "organization": organization,
        "state": state,
        "held_until": {"$cond": [own, "$held_until", "$$REMOVE"]},
        "name": {"$cond": [own, "$name", "$$REMOVE"]},
    }
    try:
        # One command for all cases: where the slug exists and isn't free, nothing matches, and the
        # upsert violates the unique _id.
        Slug._get_collection().update_one(free, [{"$set": claim}], upsert=True)
    except DuplicateKeyError as error:
        raise SlugTaken(slug) from error
    if holder not in (None, organization):
        former = Organization.objects.get(id=holder)
        record(former, "organization.slug_given_up", context.origin, target=organization, slug=slug)


def claiming(slug: str, account: ObjectId | None, write: Callable[[bool], Written]) -> Written:
    """The result of ``write``, a transaction that claims the slug. It is called again, then with
    true, where the slug was taken and the ``account`` owns its holder: most slugs are nobody's."""
    try:
        return write(False)
    except SlugTaken:
        if owned_holder(account, slug) is None:
            raise
    return write(True)


def owned_holder(account: ObjectId | None, slug: str) -> ObjectId | None:
    """The organization that holds ``slug`` as an old one, if the account owns it and isn't locked
    out for lack of a second factor; one read."""
    if account is None:
        return None
    found = Slug.objects(id=slug, state=SlugState.OLD).aggregate(
        [ownership(account), {"$unwind": "$owned"}]
    )
    return next((held["organization"] for held in found), None)


def ownership(account: ObjectId) -> dict[str, Any]:
    """A ``$lookup`` into the array ``owned`` of the account's ownership of the organization that
    holds a slug; empty where it isn't an owner, or is locked out."""
    not_locked_out = [
        *with_mfa_lockout(account),
        {"$match": {"locked_out": False}},
        {"$project": {"_id": 1}},
    ]
    own = [
        {"$match": {"account": account, "role": Role.OWNER}},
        join(Organization, "organization", "_id", "not_locked_out", not_locked_out),
        {"$match": {"not_locked_out": {"$ne": []}}},
    ]
    return join(Membership, "organization", "organization", "owned", own)


def is_free(slug: str, account: ObjectId | None = None, holder: ObjectId | None = None) -> bool:
    """True if ``account``, or a visitor without one, could claim the slug now; an operator old ones
    of the ``holder`` as well."""
    held = Slug.objects(id=slug).first()
    if held is None:
        return True
    if held.state != SlugState.OLD:
        return False
    if held.organization == holder:
        return True
    return held.held_until < clock.now() or owned_holder(account, slug) is not None


@contextmanager
def offering_a_free_slug(typed: str | None = None) -> Iterator[None]:
    """Add a free slug to a SlugTaken that is raised inside; TypedSlugTaken where one was
    ``typed``."""
    try:
        yield
    except SlugTaken as error:
        kind = TypedSlugTaken if typed else SlugTaken
        raise kind(error.slug, free_slug_like(error.slug)) from error


def free_slug_like(slug: str) -> str:
    """A slug that begins like ``slug`` and that nobody holds now; empty where none was found."""
    begin = slug[: LONGEST_SLUG - 7].rstrip("-")
    ends = [*map(str, range(2, 21)), *(secrets.token_hex(3) for _ in range(3))]
    offers = [f"{begin}-{end}" for end in ends]
    held = set(Slug.objects(id__in=offers).scalar("id"))
    return next((offer for offer in offers if offer not in held), "")


@within_transaction
def promote_target(organization: ObjectId, old_slug: str, new_slug: str, old_name: str) -> None:
    """Make the claimed ``new_slug`` the current one. The old one stays held for OLD_SLUG_DAYS, as
    long as ``release_oldest`` leaves it, with the name of that time."""
    held_until = clock.now() + timedelta(days=settings.current().old_slug_days)
    is_new = {"$eq": ["$_id", new_slug]}
    promoted = {
        "state": {"$cond": [is_new, SlugState.CURRENT, SlugState.OLD]},
        "held_until": {"$cond": [is_new, "$$REMOVE", held_until]},
        "name": {"$cond": [is_new, "$$REMOVE", {"$literal": old_name}]},
    }
    Slug._get_collection().update_many(
        {"_id": {"$in": [old_slug, new_slug]}, "organization": organization}, [{"$set": promoted}]
    )


@within_transaction
def release_oldest(organization: ObjectId) -> None:
    """Free the organization's old slugs but the MAX_OLD latest ones."""
    old = Slug._get_collection().find(
        {"organization": organization, "state": SlugState.OLD}, {"_id": 1}
    )
    too_many = [slug["_id"] for slug in old.sort("held_until", -1).skip(MAX_OLD)]
    if too_many:
        Slug.objects(id__in=too_many, organization=organization, state=SlugState.OLD).delete()


def mark_current(organization: ObjectId, slug: str) -> None:
    """Make the claimed ``slug`` the organization's current one."""
    Slug.objects(id=slug, organization=organization).update_one(
        set__state=SlugState.CURRENT, unset__held_until=True, unset__name=True
    )


@within_transaction
def release_target(slug: str, organization: ObjectId) -> None:
    """Release the claim on an operation's target; the organization's own old slug is old again."""
    target = Slug.objects(id=slug, organization=organization, state=SlugState.TARGET)
    if not target.filter(held_until__gt=clock.now()).update_one(set__state=SlugState.OLD):
        target.delete()


@within_transaction
def release_all(organization: ObjectId) -> None:
    """Free every slug of the organization."""
    Slug.objects(organization=organization).delete()
