"""The documents of an organization, as they are stored."""

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument

from portal.documents.organizations import Organization
from portal.organizations.storage import tenant_of
from portal.organizations.support.errors import KeptBeside
from portal.tenants import Tenant
from portal.web.acting_operator import acting_operator

RAW: CodecOptions[RawBSONDocument] = CodecOptions(
    document_class=RawBSONDocument,
    tz_aware=True,
    uuid_representation=UuidRepresentation.STANDARD,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
EXACT = RAW.with_options(uuid_representation=UuidRepresentation.UNSPECIFIED)
"""For rows beside documents, which have their ids: a binary of a UUID's subtype may be none."""


def forbid_operators() -> None:
    """Raise KeptBeside where the request acts as an operator: a support grant reaches documents,
    not what is kept beside them with that of other organizations."""
    if acting_operator():
        raise KeptBeside


def documents_of(organization: Organization) -> Tenant:
    """The handle of the organization's documents, which gives and takes them encoded. Raises as
    ``tenant_of``."""
    return tenant_of(organization).with_options(codec_options=RAW)
