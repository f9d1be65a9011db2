"""What tests of use and limits stand on."""

from datetime import timedelta

import pytest

from portal import clock
from portal.organizations.usage import metering, rolling


@pytest.fixture(autouse=True)
def nothing_counted(app):
    """What other tests did isn't counted here."""
    metering.metering().meter.take()
    metering.forget_plans()


@pytest.fixture
def reporting(app):
    """Inserts batches as processes report them."""
    return Reporting()


class Reporting:
    """A process that reports."""

    def __init__(self, process="web-1"):
        self.process, self.number = process, 0
        self.until = clock.now() - timedelta(seconds=30)

    def __call__(self, *rows, last=False, seconds=10, skipped=0, **others):
        since, self.until = self.until, self.until + timedelta(seconds=seconds)
        self.number += 1 + skipped
        batch = {
            "_id": f"{self.process}:{self.number}",
            "process": self.process,
            "number": self.number,
            "source": "library",
            "since": since,
            "until": self.until,
            "rows": [dict(row) for row in rows],
            "last": last,
            **others,
        }
        metering.reports().insert_one(dict(batch))
        return batch


def row(organization, cluster="main", **counts):
    return {"organization": organization.id, "cluster": cluster, **counts}


def roll_up():
    rolling.roll_up(lambda: None)
