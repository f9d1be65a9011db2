"""``flask mail`` as an operator types it."""

import json
from dataclasses import replace

import pytest

from portal.database.transactions import transaction
from portal.identity.accounts.mails import ACCOUNT_CLOSED
from portal.mail import outbox, sender, transport

TO = "mara@acme.example"


@pytest.fixture
def unreachable(app, settings):
    """A mail server that isn't there."""
    away = replace(settings, mail_server="127.0.0.1", mail_port=1, mail_security="none")
    transport.init_app(app, away)
    yield
    transport.init_app(app, settings)


def test_mails_that_wait_are_listed_with_their_reasons(app, command, unreachable):
    transaction(lambda: outbox.enqueue(ACCOUNT_CLOSED, TO))
    sender.send_due_mails(app)
    told = command("mail", "list").stdout.splitlines()
    assert told[0].startswith("1 mail waits to leave, for")
    assert told[1].startswith(f"{ACCOUNT_CLOSED.name} to {TO}: ")
    assert "1 try, ConnectionRefusedError" in told[1]
    told = json.loads(command("mail", "list", "--json").stdout)
    assert told["backlog"]["number"] == 1
    [failing] = told["failing"]
    assert (failing["to"], failing["tries"]) == (TO, 1)
    assert failing["last_error"].startswith("ConnectionRefusedError")


def test_the_doctor_tells_of_mails_that_wait(app, command, unreachable):
    transaction(lambda: outbox.enqueue(ACCOUNT_CLOSED, TO))
    sender.send_due_mails(app)
    told = command("doctor")
    assert told.returncode == 1
    assert "Mails that don't leave" in told.stdout
    assert "1 mail waits to leave" in told.stdout
    assert "flask mail test" in told.stdout


def test_a_test_mail_leaves_at_once(office, command):
    told = command("mail", "test", TO)
    assert told.returncode == 0
    assert [message["To"] for message in office.messages] == [TO]


def test_a_test_mail_goes_to_the_domain_that_was_meant(office, command):
    assert command("mail", "test", "mara@straße.example").returncode == 0
    assert office.recipients == ["mara@xn--strae-oqa.example"]


def test_a_test_mail_to_no_address_says_so(office, command):
    told = command("mail", "test", "mara@ü_.example")
    assert told.returncode == 2
    assert "The mail did not leave: " in told.stderr


def test_a_test_mail_that_does_not_leave_says_why(unreachable, command):
    told = command("mail", "test", TO)
    assert told.returncode == 2
    assert "The mail did not leave: ConnectionRefusedError" in told.stderr
