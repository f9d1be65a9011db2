"""What a suspension leaves of a support grant."""

import pytest

from portal.documents.organizations import Restriction
from tests.factories import a_suspension
from tests.operators.support.conftest import CANARY

DATA = "/organizations/acme-corp/data"


@pytest.mark.attack("H1")
@pytest.mark.parametrize(
    ("kind", "status"),
    [(Restriction.READ_ONLY, 200), (Restriction.LOCKED, 423), (Restriction.HIDDEN, 404)],
)
def test_whoever_looks_sees_no_more_than_members_do(desk, planted, looking, kind, status):
    looking(planted)
    assert CANARY in desk.get(DATA).text
    a_suspension(planted, kind)
    page = desk.get(DATA)
    assert (page.status, CANARY in page.text) == (status, status == 200)
