"""The first steps of an organization that has no document yet, as far as they are done."""

from dataclasses import dataclass

from portal.documents.api_keys import ApiKey
from portal.documents.organizations import Organization


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """The steps that are done: a ``way_in``, which is a key that may write documents or a MongoDB
    user; and that ``viewers`` may read documents."""

    way_in: bool
    viewers: bool


def first_steps(organization: Organization) -> FirstSteps:
    """The organization's first steps; one read at most."""
    key = {"organization": organization.id, "permissions": "documents.write"}
    way_in = bool(organization.credentials or ApiKey.objects(**key).only("id").first())
    return FirstSteps(way_in, bool(organization.viewers_read_documents))
