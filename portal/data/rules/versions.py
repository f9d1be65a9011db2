"""Versions of rules: they are kept as they are put into force, and those that a program had set as
they are replaced."""

from dataclasses import dataclass
from typing import Any

import bson
from bson import ObjectId

from portal.data import queries
from portal.database.transactions import within_transaction
from portal.documents.rules_versions import RulesVersion

MOST_KEPT = 50
_LARGEST_BYTES = 256 * 1024  # what a program set may be larger than a schema that is read here


@dataclass(frozen=True, slots=True)
class Version:
    """A schema, with MongoDB's words for what becomes of documents that break it."""

    schema: dict[str, Any]
    level: str
    action: str

    @property
    def encoded(self) -> bytes:
        """The schema as BSON."""
        return bson.encode(self.schema, codec_options=queries.CODEC)


@within_transaction
def keep_version(
    organization: ObjectId, seq: int, replaced: Version | None, put: Version | None
) -> None:
    """Keep what the event ``seq`` put into force, and what it replaced, unless that is known. The
    oldest go, where there are more than MOST_KEPT."""
    own = RulesVersion.objects(organization=organization)
    newest = own.order_by("-seq", "found").first()
    if replaced is not None and not is_same(newest, replaced):
        _insert(organization, seq, replaced, found=True)
    if put is not None:
        _insert(organization, seq, put, found=False)
    for old in own.order_by("-seq", "found").only("id").skip(MOST_KEPT):
        old.delete()


def is_same(stored: RulesVersion | None, version: Version) -> bool:
    """Tell whether a stored version is this one."""
    if stored is None or (stored.level, stored.action) != (version.level, version.action):
        return False
    return bytes(stored.schema) == version.encoded


def version_of(stored: RulesVersion) -> Version:
    """The version that is stored."""
    return Version(bson.decode(stored.schema, queries.CODEC), stored.level, stored.action)


def _insert(organization: ObjectId, seq: int, version: Version, *, found: bool) -> None:
    schema = version.encoded
    if len(schema) <= _LARGEST_BYTES:
        RulesVersion(
            organization=organization,
            seq=seq,
            found=found,
            schema=schema,
            level=version.level,
            action=version.action,
        ).insert()
