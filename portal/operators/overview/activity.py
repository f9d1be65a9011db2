"""The acts of all operators: a query over the trails in which they stand, in the order of their
ids. Each combination of filters has an index that ends with that."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bson import ObjectId
from mongoengine import Document

from portal.audit.trail import ListedEvent
from portal.audit.words import WORDS, title_of
from portal.bidi import isolated
from portal.database.paging import Page, page_from
from portal.documents.accounts import Account
from portal.documents.api_keys import OperatorKey
from portal.documents.audit import AuditEvent
from portal.documents.installation import INSTALLATION
from portal.documents.organizations import Organization

EVENTS_PER_PAGE = 50
BY_COMMAND = "command"
"""In place of an operator's id: commands on the portal's machine."""


@dataclass(frozen=True, slots=True)
class ActFilter:
    """Filters of operators' acts; ``None`` filters nothing. ``operator`` is the id of an account or
    of a key, or BY_COMMAND; ``subject`` an organization, an account or the installation."""

    operator: ObjectId | str | None = None
    action: str | None = None
    subject: ObjectId | None = None

    @classmethod
    def read(cls, typed: Mapping[str, str]) -> "ActFilter":
        """Read the query of a URL, ignoring invalid values."""
        operator, action = typed.get("operator", ""), typed.get("action", "")
        return cls(
            BY_COMMAND if operator == BY_COMMAND else _read_id(operator),
            action if action in WORDS else None,
            _read_id(typed.get("subject", "")),
        )

    @property
    def query(self) -> dict[str, str]:
        """The filters as the query of a URL."""
        given = {"operator": self.operator, "action": self.action, "subject": self.subject}
        return {name: str(value) for name, value in given.items() if value}

    @property
    def match(self) -> dict[str, Any]:
        """The filters as MongoDB's."""
        wanted: dict[str, Any] = {"actor_kind": "operator"}
        if self.operator:
            wanted["actor"] = None if self.operator == BY_COMMAND else self.operator
        if self.action:
            wanted["action"] = self.action
        if self.subject:
            wanted["chain"] = self.subject
        return wanted

    @property
    def index(self) -> list[tuple[str, int]]:
        """The index of operators' acts that leaves the fewest to be looked at. It is named, since
        that of everybody's events by actor looks as good to the server."""
        fields: list[str] = [name for name in ("actor", "action") if name in self.match]
        first = ["chain"] if self.subject else fields or ["actor_kind"]
        return [*((name, 1) for name in first), ("_id", -1)]

    def without(self, name: str) -> dict[str, str]:
        """The query of a URL without the filter of this name."""
        return replace(self, **{name: None}).query


@dataclass(frozen=True, slots=True)
class Act:
    """An act of an operator, in the trail of ``subject``. ``by`` is an address, a key or “a
    command”; the organization has a ``name`` unless the subject is something else."""

    id: ObjectId
    event: ListedEvent
    by: str
    operator: str
    subject: ObjectId
    organization: ObjectId | None
    about: str


def list_acts(
    wanted: ActFilter, *, before: ObjectId | None = None, after: ObjectId | None = None
) -> Page:
    """A page of the operators' acts, newest first."""
    match, direction = wanted.match, -1
    if before is not None:
        match, direction = {**match, "_id": {"$gt": before}}, 1
    elif after is not None:
        match = {**match, "_id": {"$lt": after}}
    found = AuditEvent._get_collection().find(match, hint=wanted.index).sort("_id", direction)
    rows = list(found.limit(EVENTS_PER_PAGE + 1))
    page = page_from(rows, key="_id", size=EVENTS_PER_PAGE, before=before, after=after)
    return Page(_acts(page.rows), page.before, page.after)


def describe_filter(wanted: ActFilter) -> list[tuple[str, dict[str, str]]]:
    """Each filter in words, with the query without it."""
    words = {
        "operator": wanted.operator and f"by {_operators({wanted.operator})[wanted.operator]}",
        "action": wanted.action and title_of(wanted.action),
        "subject": wanted.subject and f"to {_subjects({wanted.subject})[wanted.subject][1]}",
    }
    return [(told, wanted.without(name)) for name, told in words.items() if told]


def _acts(rows: list[dict[str, Any]]) -> list[Act]:
    operators = _operators({row.get("actor") or BY_COMMAND for row in rows})
    subjects = _subjects({row["chain"] for row in rows})
    acts = []
    for row in rows:
        operator = row.get("actor") or BY_COMMAND
        organization, about = subjects[row["chain"]]
        event = ListedEvent.of(row)
        by = operators[operator]
        acts.append(Act(row["_id"], event, by, str(operator), row["chain"], organization, about))
    return acts


def _operators(ids: set[ObjectId | str]) -> dict[ObjectId | str, str]:
    """Operators by id, as they are called now."""
    names: dict[ObjectId | str, str] = dict.fromkeys(ids, "a closed account")
    names |= {row["_id"]: row.get("email") or names[row["_id"]] for row in _rows(Account, ids)}
    names |= {row["_id"]: _key_in_words(row) for row in _rows(OperatorKey, ids)}
    return names | {BY_COMMAND: "a command"}


def _subjects(ids: set[ObjectId]) -> dict[ObjectId, tuple[ObjectId | None, str]]:
    """The subjects of trails by id: the organization, if it is one, and the words."""
    names: dict[ObjectId, tuple[ObjectId | None, str]] = dict.fromkeys(
        ids, (None, "a closed account")
    )
    for row in _rows(Organization, ids):
        names[row["_id"]] = row["_id"], isolated(row["name"])
    if accounts := {one for one, (organization, _) in names.items() if organization is None}:
        for row in _rows(Account, accounts):
            names[row["_id"]] = None, row.get("email") or "a closed account"
    return names | {INSTALLATION: (None, "the installation")}


def _rows(document: type[Document], ids: set[Any]) -> list[dict[str, Any]]:
    wanted = [one for one in ids if isinstance(one, ObjectId)]
    fields = {"email": 1, "name": 1, "revoked_at": 1}
    return list(document._get_collection().find({"_id": {"$in": wanted}}, fields))


def _key_in_words(row: dict[str, Any]) -> str:
    revoked = ", revoked" if row.get("revoked_at") else ""
    return f"the key “{row['name']}”{revoked}"


def _read_id(typed: str) -> ObjectId | None:
    return ObjectId(typed) if ObjectId.is_valid(typed) else None
