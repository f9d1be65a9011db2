"""The documents of an organization, as they are stored."""

from typing import Any

from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from portal.database.connection import client, tenant_database
from portal.documents.organizations import Organization
from portal.tenants.queries import check_filter, check_pipeline, check_update

RAW: CodecOptions[RawBSONDocument] = CodecOptions(
    document_class=RawBSONDocument,
    tz_aware=True,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)


class _Shim:
    """Stands for the library's handle until it is merged."""

    def __init__(self, collection, session=None):
        self._c, self.session = collection, session

    def find(self, filter=None, projection=None, **options):
        check_filter(filter)
        return self._c.find(filter, projection, session=self.session, **options)

    def count_documents(self, filter, **options):
        check_filter(filter)
        return self._c.count_documents(filter, session=self.session, **options)

    def aggregate(self, pipeline, **options):
        check_pipeline(pipeline)
        return self._c.aggregate(pipeline, session=self.session, **options)

    def update_one(self, filter, update, **options):
        check_filter(filter)
        check_update(update)
        return self._c.update_one(filter, update, session=self.session, **options)

    def update_many(self, filter, update, **options):
        check_filter(filter)
        check_update(update)
        return self._c.update_many(filter, update, session=self.session, **options)

    def delete_many(self, filter, **options):
        check_filter(filter)
        return self._c.delete_many(filter, session=self.session, **options)

    def __getattr__(self, name):
        method = getattr(self._c, name)
        if name == "estimated_document_count":
            return method
        return lambda *given, **options: method(*given, session=self.session, **options)

    def with_transaction(self, body):
        with client().start_session() as session:
            return session.with_transaction(
                lambda s: body(_Shim(self._c, s)), ReadConcern("local"), WriteConcern("majority")
            )


def documents_of(organization: Organization) -> Any:
    """The handle of the organization's documents, which gives and takes them encoded."""
    return _Shim(tenant_database().get_collection(organization.placement.collection, RAW))
