"""Claims on slugs. A slug is claimed before it is used; its ``_id`` decides every race."""

from datetime import timedelta

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from portal import clock, settings
from portal.errors import SlugTaken
from portal.organizations.documents import CURRENT, OLD, TARGET, Slug


def claim_slug(slug: str, organization: ObjectId, state: str, *, may_reclaim: bool = False) -> None:
    """Claim ``slug``, in the caller's transaction.

    Free are slugs nobody has, old ones after their time, and with ``may_reclaim`` the
    organization's own old ones. Raises SlugTaken.
    """
    over = {"held_until": {"$lt": clock.now()}}
    free = {
        "_id": slug,
        "state": OLD,
        "$or": [over, {"organization": organization}] if may_reclaim else [over],
    }
    try:
        # One command for all cases: where the slug exists and isn't free, nothing matches and
        # the insertion that follows meets the unique _id.
        Slug.objects(__raw__=free).update_one(
            upsert=True, set__organization=organization, set__state=state
        )
    except NotUniqueError as error:
        raise SlugTaken(slug) from error


def is_free(slug: str, organization: ObjectId | None = None) -> bool:
    """Whether ``claim_slug`` would succeed now, for ``organization`` or a new one."""
    held = Slug.objects(id=slug).first()
    if held is None:
        return True
    if held.state != OLD:
        return False
    return held.organization == organization or held.held_until < clock.now()


def move_on(organization: ObjectId, old_slug: str, new_slug: str) -> None:
    """Make the claimed ``new_slug`` the current one; the old one stays held for a while."""
    held_until = clock.now() + timedelta(days=settings.current().old_slug_days)
    Slug.objects(id=old_slug, organization=organization).update_one(
        set__state=OLD, set__held_until=held_until
    )
    Slug.objects(id=new_slug, organization=organization).update_one(
        set__state=CURRENT, unset__held_until=True
    )


def unclaim(slug: str, organization: ObjectId) -> None:
    """Take back the claim on a rename's target: an old slug of one's own becomes that again."""
    target = Slug.objects(id=slug, organization=organization, state=TARGET)
    if not target.filter(held_until__gt=clock.now()).update_one(set__state=OLD):
        target.delete()


def free_all(organization: ObjectId) -> None:
    """Free every slug of the organization."""
    Slug.objects(organization=organization).delete()
