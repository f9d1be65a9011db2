"""An account with an authenticator app."""

from types import SimpleNamespace

import pytest

from portal import clock
from tests.factories import an_account, an_app


@pytest.fixture
def mara():
    """Her account, with an authenticator app and ten recovery codes."""
    account = an_account("mara@acme.example")
    app, codes = an_app(account)
    return SimpleNamespace(
        id=account.id,
        app=app,
        codes=codes,
        code=lambda offset=0: app.at(clock.now(), counter_offset=offset),
    )
