"""A database for each organization, in which one collection has its documents.

The collection's name is the same in each, so that one privilege on it reaches all; databases are
named after the organization's id, so that a rename is none of theirs.
"""

from bson import ObjectId

DOCUMENTS = "portal_tenant_documents"
"""The collection's name."""

ARRIVING, LEFT = "portal_moving_documents", "portal_moved_documents"
"""Its names where it moves to, before it gets its own, and where it was, from the fence on."""


def database_name(organization_id: ObjectId) -> str:
    """The name of an organization's database."""
    return f"t_{organization_id}"
