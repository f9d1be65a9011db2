"""What tests of tenant collections stand on: a server that fails."""

import pytest


@pytest.fixture
def failing(bare_client):
    """Has the server fail the next commands of a kind in a way."""

    def fail(command, mode, **data):
        bare_client.admin.command(
            {
                "configureFailPoint": "failCommand",
                "mode": mode,
                "data": {"failCommands": [command], **data},
            }
        )

    yield fail
    bare_client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
