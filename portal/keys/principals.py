"""Who asks where it is no person: a program by a key.

These carry what ``portal.accounts.sessions.Principal`` does for a person. Pages never meet one.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, NoReturn

from bson import ObjectId
from flask_login import UserMixin

from portal.errors import PersonNeeded


@dataclass(frozen=True)
class _ByKey(UserMixin):
    """By the key of this ``id``, which is no secret, and name."""

    id: ObjectId
    name: str
    kind: ClassVar[str]

    @property
    def account_id(self) -> NoReturn:
        """Of a person only: whatever is done for an account is refused. Raises PersonNeeded."""
        raise PersonNeeded

    @property
    def sender(self) -> str:
        """Whose an Idempotency-Key is."""
        return f"{self.kind} {self.id}"

    @property
    def labels(self) -> dict[str, str]:
        """What the log calls it."""
        return {"api_key": str(self.id)}

    @property
    def acting(self) -> dict[str, Any]:
        """What the audit trail calls it: fields of an ``Origin``."""
        return {
            "actor_kind": self.kind,
            "actor": self.id,
            "actor_name": f"{self.kind} “{self.name}”",
        }


@dataclass(frozen=True)
class OrganizationKey(_ByKey):
    """A program by a key of an organization, with a role or just some permissions."""

    organization_id: ObjectId
    role: str | None
    permissions: frozenset[str]
    expires_at: datetime | None
    kind: ClassVar[str] = "key"


@dataclass(frozen=True)
class Provisioner(_ByKey):
    """A program that signs organizations up for people, and does nothing else."""

    kind: ClassVar[str] = "provisioning key"
