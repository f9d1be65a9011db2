"""Plans of what operators do to an organization: what will happen, told before anything begins.

A plan carries the facts that it went by. Whoever applies it has them compared in the transaction
that begins the action, so what was shown is what happens, or nothing does.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from bson import ObjectId
from humanize import intcomma, naturalsize
from mongoengine import QuerySet

from portal import settings
from portal.audit.errors import UnderHold
from portal.database.connection import server_time
from portal.documents.api_keys import ApiKey
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import (
    Organization,
    OrganizationState,
    Slug,
    SlugState,
    Strategy,
)
from portal.operators.organizations.errors import (
    ManyMoreDocuments,
    PlanOutdated,
    UnreadableActionPlan,
)
from portal.operators.organizations.reading import figures_of
from portal.organizations.access.errors import (
    NotInTrash,
    OrganizationPurged,
    OrganizationTrashed,
)
from portal.organizations.lifecycle import engine
from portal.organizations.lifecycle.names import parse_name_for
from portal.organizations.lifecycle.naming import active_name
from portal.organizations.lifecycle.slugs import is_free
from portal.web.counting import counted

# More documents than these are another plan of a purge.
_GROWN, _GROWN_BY_FEW = 1.5, 1000


class PlannedAction(StrEnum):
    """The actions that can be planned."""

    RENAME = "rename"
    TRASH = "trash"
    RESTORE = "restore"
    PURGE = "purge"


DOCUMENTS_GO = (PlannedAction.PURGE,)
"""The actions of whose plans the number of documents is part."""

_LOCKS_OUT = (PlannedAction.TRASH, PlannedAction.PURGE)


@dataclass(frozen=True, slots=True)
class Effect:
    """A line of what will happen, in words."""

    about: str
    words: str


@dataclass(frozen=True, slots=True)
class ActionPlan:
    """An action as planned at a time, by the database's clock; nothing has begun.

    ``people`` lose access, ``keys`` and ``credentials`` stop working, ``redirects`` are earlier
    addresses that no longer lead there, ``mails`` are sent. Documents and bytes are ``None`` where
    their cluster doesn't answer. ``facts`` are what has to be the same when it is applied.
    """

    action: PlannedAction
    organization: ObjectId
    name: str
    at: datetime
    documents: int | None
    bytes: int | None
    people: int = 0
    keys: int = 0
    credentials: int = 0
    redirects: int = 0
    mails: int = 0
    effects: tuple[Effect, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def planned(self) -> "Planned":
        """The part of it that is compared with the world when it is applied."""
        return Planned(self.action, self.organization, self.documents, dict(self.facts))

    def as_told(self) -> dict[str, Any]:
        """The plan for programs, with the text that applies it."""
        told = asdict(self)
        return {**{name: told[name] for name in _TOLD}, "plan": self.planned.dumps()}


_TOLD = (
    "action",
    "organization",
    "at",
    "documents",
    "bytes",
    "people",
    "keys",
    "credentials",
    "redirects",
    "mails",
    "effects",
)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan as it travels through a form or a call: the action, and what it went by."""

    action: PlannedAction
    organization: ObjectId
    documents: int | None
    facts: Mapping[str, str]

    def dumps(self) -> str:
        """The plan as text of letters and digits, for a hidden field or an argument."""
        told = [self.action, str(self.organization), self.documents, dict(self.facts)]
        return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()

    @classmethod
    def loads(cls, text: str, action: PlannedAction, organization: ObjectId) -> Self:
        """From that text, which may come from anybody, the plan of this ``action`` on this
        organization. Raises UnreadableActionPlan."""
        try:
            planned, about, documents, facts = json.loads(base64.urlsafe_b64decode(text))
            facts = {str(name): str(facts[name]) for name in facts}
            documents = None if documents is None else int(documents)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise UnreadableActionPlan from error
        if (planned, about) != (action, str(organization)):
            raise UnreadableActionPlan
        return cls(action, organization, documents, facts)

    def check(self, organization: Organization) -> None:
        """Raise PlanOutdated unless the facts are as they were; in the transaction of the intent,
        with which every change of the organization conflicts that its trail records."""
        facts = facts_of(organization)
        if found := _differences(self.facts, facts):
            raise PlanOutdated(organization.name, found)

    def check_documents(self, organization: Organization) -> None:
        """Raise PlanOutdated where a purge would delete many more documents than were shown."""
        if self.action not in DOCUMENTS_GO or self.documents is None:
            return
        now = figures_of(organization).documents
        if now and now > max(self.documents * _GROWN, self.documents + _GROWN_BY_FEW):
            raise ManyMoreDocuments(organization.name, now, self.documents)


def plan_action(
    organization: Organization,
    action: PlannedAction,
    *,
    typed_name: str | None = None,
    typed_slug: str | None = None,
) -> ActionPlan:
    """The plan of an action on the organization as it is; for a rename under another name or slug.

    Raises what the action itself would raise at once: OrganizationPurged, OrganizationTrashed,
    NotInTrash, OperationInProgress, InvalidName, InvalidSlug.
    """
    check_possible(organization, action)
    figures, facts = figures_of(organization), _Facts.of(organization)
    ends = action in _LOCKS_OUT
    active = organization.state == OrganizationState.ACTIVE
    effects = {
        PlannedAction.RENAME: lambda: _of_rename(organization, facts, typed_name, typed_slug),
        PlannedAction.TRASH: lambda: _of_trash(organization, facts),
        PlannedAction.RESTORE: lambda: _of_restore(organization, facts, typed_name, typed_slug),
        PlannedAction.PURGE: lambda: _of_purge(organization, facts),
    }[action]()
    size = naturalsize(figures.size_bytes, format="%.3g") if figures.size_bytes is not None else ""
    documents = "not counted" if figures.documents is None else intcomma(figures.documents)
    return ActionPlan(
        action=action,
        organization=organization.id,
        name=organization.name,
        at=server_time(),
        documents=figures.documents,
        bytes=figures.size_bytes,
        people=facts.members if ends and active else 0,
        keys=facts.keys if ends and active else 0,
        credentials=facts.credentials if ends else 0,
        redirects=facts.old_slugs if ends else 0,
        mails=facts.owners if action == PlannedAction.TRASH else 0,
        effects=(Effect("Documents", f"{documents}{', ' if size else ''}{size}"), *effects),
        facts=facts.as_told(organization),
    )


def check_possible(organization: Organization, action: PlannedAction) -> None:
    """Raise the reason why the action can't begin, if there is one: OrganizationPurged,
    OrganizationTrashed, NotInTrash, OperationInProgress, UnderHold."""
    if organization.state == OrganizationState.PURGED:
        raise OrganizationPurged(organization.name, organization.purged_at)
    if organization.operation:
        raise engine.in_progress(organization)
    trashed = organization.state == OrganizationState.TRASHED
    if action in (PlannedAction.RENAME, PlannedAction.TRASH) and trashed:
        raise OrganizationTrashed(organization.name)
    if action == PlannedAction.RESTORE and not trashed:
        raise NotInTrash(organization.name, organization.slug)
    if action == PlannedAction.PURGE and organization.held:
        raise UnderHold(organization.name)


def facts_of(organization: Organization) -> dict[str, str]:
    """The facts that a plan goes by, by name, in words."""
    return facts_of_each([organization])[organization.id]


def facts_of_each(organizations: Sequence[Organization]) -> dict[ObjectId, dict[str, str]]:
    """The facts that a plan of each goes by, by its id, read for all of them together."""
    if not organizations:
        return {}
    facts = _Facts.of_each(organizations)
    return {one.id: facts[one.id].as_told(one) for one in organizations}


def _differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [
        f"{name} {now.get(name, 'unknown')}, and was {before.get(name, 'unknown')}"
        for name in dict.fromkeys([*now, *before])
        if now.get(name) != before.get(name)
    ]


_IS_OWNER = {"$eq": ["$role", Role.OWNER]}
_PEOPLE = {
    "members": {"$sum": 1},
    "owners": {"$sum": {"$cond": [_IS_OWNER, 1, 0]}},
    "latest_member": {"$max": "$_id"},
}
_NUMBER = {"number": {"$sum": 1}}


def _grouped(found: QuerySet, values: Mapping[str, Any]) -> dict[ObjectId, dict[str, Any]]:
    """These values of what was found, by organization."""
    rows = found.aggregate([{"$group": {"_id": "$organization", **values}}])
    return {row.pop("_id"): row for row in rows}


@dataclass(frozen=True, slots=True)
class _Facts:
    members: int
    owners: int
    latest_member: ObjectId | None
    keys: int
    credentials: int
    old_slugs: int

    @classmethod
    def of(cls, organization: Organization) -> Self:
        return cls.of_each([organization])[organization.id]

    @classmethod
    def of_each(cls, organizations: Sequence[Organization]) -> dict[ObjectId, Self]:
        among = {"organization": {"$in": [one.id for one in organizations]}}
        people = _grouped(Membership.objects(__raw__=among), _PEOPLE)
        keys = _grouped(ApiKey.objects(__raw__=among), _NUMBER)
        old_slugs = _grouped(Slug.objects(__raw__={**among, "state": SlugState.OLD}), _NUMBER)
        nobody = {"members": 0, "owners": 0, "latest_member": None}
        return {
            one.id: cls(
                **{**nobody, **people.get(one.id, {})},
                keys=keys.get(one.id, {}).get("number", 0),
                credentials=one.credentials or 0,
                old_slugs=old_slugs.get(one.id, {}).get("number", 0),
            )
            for one in organizations
        }

    def as_told(self, organization: Organization) -> dict[str, str]:
        placement = organization.placement
        collection = placement.uuid or f"the shared collection {placement.pool}"
        return {
            "the name is": organization.name,
            "the address is": organization.slug,
            "the state is": organization.state,
            "the restriction is": organization.restricted or "none",
            "the legal hold is": "set" if organization.held else "none",
            "the place is": f"{placement.strategy} on {placement.cluster}, {collection}",
            "the number of members is": str(self.members),
            "the number of owners is": str(self.owners),
            "the last member to come is": str(self.latest_member or "none"),
            "the number of API keys is": str(self.keys),
            "the number of MongoDB users is": str(self.credentials),
            "the number of earlier addresses is": str(self.old_slugs),
        }


def _of_rename(
    organization: Organization, facts: _Facts, typed_name: str | None, typed_slug: str | None
) -> list[Effect]:
    days, effects = settings.current().old_slug_days, []
    name = parse_name_for(organization, typed_name, typed_slug)
    if typed_name is not None:
        free = name.slug == organization.slug or is_free(name.slug, holder=organization.id)
        taken = "" if free else ", which is taken"
        effects.append(Effect("Name", _turn(organization.name, name.shown)))
        effects.append(Effect("Address", _turn(organization.slug, name.slug) + taken))
    if typed_name is not None and name.slug == organization.slug:
        return effects
    effects.append(Effect("Links", f"to {organization.slug} lead here for {days} days"))
    if organization.placement.strategy == Strategy.COLLECTION:
        before, after = organization.placement.collection, active_name(organization.placement, name)
        renamed = "renamed in place" if before == after else f"becomes {after}"
        effects.append(Effect("Collection", f"{before}, {renamed}"))
        if facts.credentials:
            users = counted(facts.credentials, "MongoDB user")
            effects.append(Effect("Programs", f"{users}: their programs have to use the new name"))
    return [*effects, Effect("People", "nobody loses access")]


def _turn(before: str, after: str) -> str:
    return f"{before}, as before" if before == after else f"{before} → {after}"


def _of_trash(organization: Organization, facts: _Facts) -> list[Effect]:
    days = settings.current().trash_days
    until = server_time() + timedelta(days=days)
    return [
        Effect("Kept", f"in the trash for {days} days, until {until:%-d %B %Y}"),
        Effect("People", f"{counted(facts.members, 'member')} without access at once"),
        *_of_programs(facts),
        Effect("Addresses", f"{_addresses(organization, facts)} free for anyone to take"),
        Effect("Mail", f"to {counted(facts.owners, 'owner')}, with the way to restore it"),
    ]


def _of_restore(
    organization: Organization, facts: _Facts, typed_name: str | None, typed_slug: str | None
) -> list[Effect]:
    name = parse_name_for(organization, typed_name, typed_slug)
    taken = "" if is_free(name.slug) else ", which is taken: choose another"
    return [
        Effect("Name", name.shown),
        Effect("Address", f"{name.slug}{taken}"),
        Effect("People", f"{counted(facts.members, 'member')} with the roles they had"),
        Effect("Programs", f"{counted(facts.keys, 'API key')} as before"),
    ]


def _of_purge(organization: Organization, facts: _Facts) -> list[Effect]:
    effects = [Effect("Kept", "nothing: what is deleted can’t be brought back")]
    if organization.state == OrganizationState.ACTIVE:
        effects.append(Effect("People", f"{counted(facts.members, 'member')} without access"))
        effects += _of_programs(facts)
        addresses = _addresses(organization, facts)
        effects.append(Effect("Addresses", f"{addresses} free for anyone to take"))
    return [
        *effects,
        Effect("Beside them", "the history of edits, files, exports and copies of moves"),
        Effect("What stays", "that it existed, and the record of what was done to it"),
    ]


def _of_programs(facts: _Facts) -> list[Effect]:
    users = counted(facts.credentials, "MongoDB user")
    return [Effect("Programs", f"{counted(facts.keys, 'API key')} and {users} refused")]


def _addresses(organization: Organization, facts: _Facts) -> str:
    earlier = f" and {intcomma(facts.old_slugs)} earlier" if facts.old_slugs else ""
    return f"{organization.slug}{earlier}"
