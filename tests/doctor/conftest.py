"""What tests of the doctor stand on."""

import pytest

from portal.doctor.examination import CHECKS, examine


@pytest.fixture
def found(app):
    """Examine everything: kind and subject of each finding."""
    return lambda: [(o.finding.kind.name, o.finding.subject) for o in _outcomes(repair=False)]


@pytest.fixture
def repair(app):
    """Examine and repair everything: kind, subject and what was done about each finding."""
    return lambda: [
        (o.finding.kind.name, o.finding.subject, o.repaired) for o in _outcomes(repair=True)
    ]


def _outcomes(repair):
    return [outcome for check in CHECKS for outcome in examine(check, repair=repair)]
