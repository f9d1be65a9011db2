"""Rolling upgrades: portals of an earlier version may run beside this one for a while."""

import time

from portal.database.background import start_loop
from portal.database.connection import master_database
from portal.database.migrations import repeat_migrations

# Nothing tells which portals run. But an older one that is still needed a day after this one
# started is a downgrade, and the next start of this version repeats the migrations again.
REPEATED_FOR_SECONDS = 24 * 3600
_PAUSE_SECONDS = 3600


def start() -> None:
    """Repeat the migrations at once, and every hour for a day after this worker's start; call it
    after the fork."""
    end = time.monotonic() + REPEATED_FOR_SECONDS

    def repeat() -> None:
        if time.monotonic() < end:
            repeat_migrations(master_database())

    start_loop("migrations", repeat, pause_seconds=_PAUSE_SECONDS)
