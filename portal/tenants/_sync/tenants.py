"""An application's organizations, and the handles of each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from bson import ObjectId
from bson.codec_options import CodecOptions
from pymongo.errors import PyMongoError
from pymongo.synchronous.client_session import ClientSession

from .. import limits
from ..arguments import database_of
from ..directory import MAIN, Located
from ..errors import NotOffered
from ..fence import pauses
from ..runtime import in_any_case, in_thread, sleep, to_the_end
from .channels import Channel
from .connections import Clusters, Uri
from .directory import Directory, Listed, Place
from .execution import Fenced, InTransaction
from .metering import LIMIT_SECONDS
from .operations import Operations
from .sessions import end_unknown
from .streams import SharedStream, Stream

_UNKNOWN_COMMIT = "UnknownTransactionCommitResult"


class Transaction(Operations):
    """The operations of a tenant in one transaction: all of their writes are kept, or none."""

    _execution: InTransaction

    @property
    def session(self) -> ClientSession:
        """PyMongo's session, in which the caller may write elsewhere on the same cluster."""
        return self._execution.session


class Tenant(Operations):
    """The documents of one organization. Thread-safe; made without reading anything.

    A copy is the handle itself. It pickles as its id alone: what is unpickled is the ObjectId, for
    ``tenants.by_id``.
    """

    _execution: Fenced

    def __init__(self, place: Place, codec_options: CodecOptions | None = None) -> None:
        super().__init__(Fenced(place, codec_options))
        self._place = place

    @property
    def place(self) -> Place:
        """The organization's place, as far as it is known."""
        return self._place

    @property
    def id(self) -> ObjectId:
        """The organization's id. Raises NotResolved where a handle made by a slug has not been
        used yet; ``resolve`` finds it out."""
        return self._place.id

    @property
    def codec_options(self) -> CodecOptions:
        """The options by which documents are encoded and decoded."""
        return self._execution.codec_options

    def resolve(self) -> ObjectId:
        """The organization's id, for which the directory is read unless it is known. Raises
        Unknown."""
        return self._place.resolve()

    def with_options(self, codec_options: CodecOptions | None = None, **others: Any) -> "Tenant":
        """The same organization with other codec options."""
        for name, value in others.items():
            if value is not None:
                raise NotOffered(name, "writes go to a majority, and reads to the primary")
        return type(self)(self._place, codec_options or self._execution.codec_options)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction on this organization's documents, acknowledged by a majority.

        It is aborted if the body raises, and ends after 5 seconds, since a rename waits for it. The
        organization can't be renamed or trashed in between. PyMongo's error of a conflict has the
        label TransientTransactionError: ``with_transaction`` runs its body again by itself.
        """
        session, located, channel = self._execution.begin()
        transaction = self._in(session, located, channel)
        try:
            yield transaction
        except BaseException:
            in_any_case(session.end_session)
            raise
        commit = partial(_commit, session, transaction._execution)
        to_the_end(commit, cancels=True)

    def with_transaction(self, body: Any) -> Any:
        """The result of ``body``, called with a transaction as of ``transaction()``. It may be
        called several times, so it must do nothing but read and write documents."""

        def run(session: ClientSession, located: Located) -> Any:
            self._execution.look(session, located)
            channel = self._execution.channel(located, session)
            return body(self._in(session, located, channel))

        return self._execution.transact(run)

    def watch(self, pipeline: Sequence[Mapping[str, Any]] = (), **options: Any) -> Stream:
        """The changes of the organization's documents from now on, whatever its name.

        ``options`` are PyMongo's, but for sessions, collations and expanded events. Each stream has
        the server look at all changes in the database; many organizations are followed by
        ``AsyncTenants.watch``. Raises TooManyStreams, and NotOffered in the portal.
        """
        if not isinstance(self._place, Listed):
            raise NotOffered("watch", "use Tenants, which has connections for streams")
        self.find_one({}, {"_id": 1})  # raises where what is known is out of date
        directory = self._place.directory
        stream = Stream(directory, [self._place], self.codec_options, pipeline, options)
        stream.open()
        return stream

    def _in(self, session: ClientSession, located: Located, channel: Channel) -> Transaction:
        options = self._execution.codec_options
        checked = self._execution.check_writable
        execution = InTransaction(session, located, channel, options, checked)
        return Transaction(execution)

    def __copy__(self) -> "Tenant":
        return self

    def __deepcopy__(self, memo: Any) -> "Tenant":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return ObjectId, (str(self.id),)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._place!r})"


class Tenants:
    """The organizations of one installation of the portal, for an application.

    ``uri`` is that of the application's MongoDB user, whose path names the master database; or a
    mapping of clusters to their URIs, in which ``"main"`` has the directory. Instead of a URI there
    may be a function that returns it: it is called here, and again when the server refuses the
    credentials. If it returns another URI then, what was refused is done again by that. Further
    options are those of PyMongo's client, but for UUIDs in their standard form unless told
    otherwise.

    Thread-safe and fork-safe: a child makes clients of its own at first use. No transaction, cursor
    or stream crosses a fork. There is one connection pool for each cluster, whatever the number of
    organizations (two where change streams are used). While an organization is moved to another
    place, its operations wait for ``moving_seconds`` at most; then they raise Moving. Where it has
    a limit of operations per second, they wait for that ``limit_seconds`` at most; then they raise
    LimitExceeded.
    """

    def __init__(
        self,
        uri: Uri | Mapping[str, Uri],
        *,
        max_streams: int = limits.MAX_STREAMS,
        max_entries: int = limits.MAX_ENTRIES,
        moving_seconds: float = limits.MOVING_SECONDS,
        limit_seconds: float = LIMIT_SECONDS,
        **client_options: Any,
    ) -> None:
        uris = uri if isinstance(uri, Mapping) else {MAIN: uri}
        self._clusters = Clusters(uris, max_streams, client_options)
        master = database_of(self._clusters.main_uri)
        self._directory = Directory(
            self._clusters, master, max_entries, moving_seconds, limit_seconds
        )

    def __getitem__(self, slug: str) -> Tenant:
        """The organization with this slug, current or old. Nothing is read before its first use,
        which may raise Unknown; from then on it is known by its id."""
        if not isinstance(slug, str):
            raise TypeError("a slug is a string; use by_id for an id")
        return Tenant(Listed(self._directory, slug=slug))

    def by_id(self, organization_id: ObjectId | str) -> Tenant:
        """The organization with this id. Nothing is read before its first use."""
        if not isinstance(organization_id, ObjectId | str):  # of None, ObjectId makes a new one
            raise TypeError("an id is an ObjectId or its text; use tenants[...] for a slug")
        return Tenant(Listed(self._directory, id=ObjectId(organization_id)))

    def watch(
        self,
        tenants: Iterable[Tenant],
        pipeline: Sequence[Mapping[str, Any]] = (),
        **options: Any,
    ) -> SharedStream:
        """The changes of many organizations' documents by one stream, each as a pair of the
        organization's id and the change. Otherwise like ``AsyncTenant.watch``."""
        followed = list(tenants)
        places = [tenant.place for tenant in followed]
        for tenant in followed:
            tenant.resolve()  # nothing would reject what was known of a slug
            if (tenant.place.locate()).pool is not None:
                tenant.find_one({}, {"_id": 1})  # learns where what is known is out of date
        codec_options = self._clusters.connection(MAIN).client.codec_options
        stream = SharedStream(self._directory, places, codec_options, pipeline, options)
        stream.open()
        return stream

    def replace_uri(self, cluster: str, uri: str) -> None:
        """Use another URI for a cluster from the next operation on, as after a rotated password."""
        self._clusters.replace_uri(cluster, uri)

    def close(self) -> None:
        """Report what was used, and close all connections of this process, or event loop. The next
        use makes new ones."""

        def close() -> None:
            in_thread(self._directory.reporting.close)
            self._clusters.close()

        to_the_end(close)

    def __enter__(self) -> "Tenants":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _commit(session: ClientSession, execution: InTransaction) -> None:
    """Commit, again while its result is unknown and there is time, which is idempotent; and end the
    session."""
    try:
        with execution.bounded():
            for pause_seconds in pauses():
                try:
                    session.commit_transaction()
                    return
                except PyMongoError as error:
                    if error.timeout or not error.has_error_label(_UNKNOWN_COMMIT):
                        raise
                sleep(pause_seconds)
    except BaseException:
        in_any_case(partial(end_unknown, session))
        raise
    finally:
        session.end_session()
