"""Reports of an application's processes, for whoever runs the portal."""

from ..directory import MAIN
from ..reports import PROCESSES, UNACKNOWLEDGED, report, reports_of
from ..runtime import renew_after_fork
from .connections import AsyncClusters


class AsyncReports:
    """One report for each process, when it first finds an organization. Nobody waits for its
    arrival, and nothing fails where the application may not report."""

    def __init__(self, clusters: AsyncClusters) -> None:
        self._clusters = clusters
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Have the child report, too."""
        self._sent = False

    async def send(self, database: str) -> None:
        """Report, unless this process did."""
        if self._sent:
            return
        self._sent = True
        connection = self._clusters.connection(MAIN)
        reports = connection.database(reports_of(database)).get_collection(
            PROCESSES, write_concern=UNACKNOWLEDGED
        )
        await reports.insert_one(report(connection.uri, self._clusters.names))
