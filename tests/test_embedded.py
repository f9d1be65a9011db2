"""The secrets that an embedded portal makes for itself, and changes."""

import json
import socket
import stat
from datetime import timedelta

import pytest

from portal import clock
from portal.identity.sessions import sessions
from portal.serving import mongod
from portal.settings import instance
from portal.settings.instance import SECRETS
from tests.processes import at_once


@pytest.fixture(autouse=True)
def empty_instance(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    instance.INSTANCE.mkdir(mode=0o700)


def pairs(secrets):
    return [(one.jwt_secret, one.secret_key) for one in (secrets, *secrets.former)]


def test_what_is_made_at_the_first_start_is_there_at_the_next():
    first = instance.secrets_at_start()
    assert instance.secrets_at_start() == first
    assert len({*pairs(first)[0], first.mongo_password}) == 3


def test_the_port_of_its_mongodb_is_kept_and_used_again_if_it_is_free():
    """Connection strings of credentials have it in them."""
    assert instance.read_port() is None
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        instance.write_port(port)
        assert not mongod.is_free(instance.read_port())
    assert mongod.is_free(instance.read_port())
    assert stat.S_IMODE((instance.INSTANCE / "mongod.port").stat().st_mode) == 0o600


@pytest.mark.attack("S3")
def test_old_secrets_are_accepted_after_new_ones_were_made():
    old = instance.secrets_at_start()
    instance.rotate_secrets()
    new = instance.secrets_at_start()
    assert pairs(new)[1:] == pairs(old)
    assert not set(pairs(new)[0]) & set(pairs(old)[0])
    kept = (new.mongo_password, new.installation_id)
    assert kept == (old.mongo_password, old.installation_id)


@pytest.mark.attack("S3")
def test_old_secrets_end_as_long_after_the_next_start_as_a_session_lasts(time_machine):
    """Until it is started again the portal signs by the old ones."""
    assert instance.FORMER_KEPT == sessions.LONGEST_LIFE
    old = instance.secrets_at_start()
    instance.rotate_secrets()
    time_machine.move_to(clock.now() + timedelta(days=90))
    assert pairs(instance.secrets_at_start())[1:] == pairs(old)
    time_machine.move_to(clock.now() + timedelta(days=29))
    assert pairs(instance.secrets_at_start())[1:] == pairs(old)
    time_machine.move_to(clock.now() + timedelta(days=1))
    assert instance.secrets_at_start().former == ()
    assert old.jwt_secret not in SECRETS.read_text()


def test_secrets_that_were_changed_twice_are_all_accepted():
    first = instance.secrets_at_start()
    instance.rotate_secrets()
    instance.rotate_secrets()
    assert pairs(first)[0] in pairs(instance.secrets_at_start())[1:]
    assert len(instance.secrets_at_start().former) == 2


def test_changes_at_the_same_moment_lose_none():
    instance.secrets_at_start()
    at_once([instance.rotate_secrets] * 4 + [instance.secrets_at_start] * 4)
    assert len(instance.secrets_at_start().former) == 4


@pytest.mark.attack("P1")
def test_the_file_is_its_own_users_alone_and_whole():
    instance.secrets_at_start()
    leftover = SECRETS.with_suffix(".new")
    leftover.write_text("{ half of")
    leftover.chmod(0o644)
    instance.rotate_secrets()
    assert stat.S_IMODE(SECRETS.stat().st_mode) == 0o600
    assert not leftover.exists()


def test_a_change_that_can_not_be_written_changes_nothing(monkeypatch):
    before = instance.secrets_at_start()

    def full(*arguments):
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(instance.os, "fsync", full)
        with pytest.raises(OSError, match="space"):
            instance.rotate_secrets()
    assert json.loads(SECRETS.read_text())["jwt_secret"] == before.jwt_secret


def test_a_file_of_an_earlier_version_is_read():
    content = {
        "mongo_password": "m",
        "jwt_secret": "j",
        "secret_key": "s",
        "installation_id": "i",
    }
    SECRETS.write_text(json.dumps(content))
    assert pairs(instance.secrets_at_start()) == [("j", "s")]


@pytest.mark.attack("L1")
def test_no_secret_shows_itself():
    instance.secrets_at_start()
    instance.rotate_secrets()
    shown = repr(instance.secrets_at_start())
    assert not [
        secret for pair in pairs(instance.secrets_at_start()) for secret in pair if secret in shown
    ]
