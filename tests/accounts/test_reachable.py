"""Addresses that the portal takes, by where its mails can go."""

from dataclasses import replace

import pytest
from aiosmtpd.controller import Controller

from portal import settings as portal_settings
from portal.app import create_app
from portal.documents.accounts import Account
from portal.documents.memberships import Invitation
from portal.mail import sender
from tests.mail.post_office import PostOffice, _free_port
from tests.program import Program, fault
from tests.visitor import Visitor

JOERG = "jörg@acme.example"


@pytest.fixture(params=[True, False], ids=["with SMTPUTF8", "without"])
def office_app(request, settings):
    """A portal whose mail server offers SMTPUTF8, or doesn't."""
    office = PostOffice()
    server = Controller(
        office, hostname="127.0.0.1", port=_free_port(), enable_SMTPUTF8=request.param
    )
    server.start()
    mail = {"mail_server": "127.0.0.1", "mail_port": server.port, "mail_security": "none"}
    yield create_app(replace(settings, **mail)), office, request.param
    server.stop()
    portal_settings.activate(settings)


def test_an_address_that_needs_smtputf8_is_taken_where_mails_reach_it(office_app):
    app, office, offered = office_app
    answer = Program(app).sign_up("Acme Corp", JOERG)
    if not offered:
        assert fault(answer) == (422, "invalid_email", {"email"})
        assert "can't reach this address" in answer.json["error"]["message"]
        assert not Account.objects
        return
    assert answer.status_code == 201
    sender.send_due_mails(app)
    [message] = office.messages
    assert message["To"] == JOERG


def test_an_invitation_and_a_change_of_address_are_told_at_once(office_app):
    app, _, offered = office_app
    visitor = Visitor(app)
    visitor.sign_up()
    Account.objects.update(verified_at=Account.objects.get().created_at)
    path = "/organizations/acme-corp/invitations"
    answer = visitor.post(path, {"email": JOERG, "role": "viewer"})
    assert Invitation.objects.count() == offered
    assert (answer.status == 303) == offered
    assert bool(answer.fault("email")) != offered


def test_a_portal_that_writes_mails_to_files_takes_every_address(app, visitor):
    assert visitor.sign_up(email=JOERG).status == 303
    visitor.log_out()
    assert visitor.log_in(email="JÖRG@acme.example").status == 303


def test_an_address_in_a_network_is_taken_unless_the_settings_refuse_it(visitor, settings):
    assert visitor.sign_up("One", "admin@corp.local").status == 303
    visitor.log_out()
    portal_settings.activate(replace(settings, local_email_domains=False))
    for address in (
        "admin@localhost",
        "root@localhost.localdomain",
        "other@corp.local",
        "root@server.lan",
        "a@corp.internal",
    ):
        answer = visitor.sign_up("Two", address)
        assert answer.status == 422
        assert "over the internet" in answer.fault("email")
    assert visitor.log_in("admin@corp.local").status == 303  # who has an account keeps it
    portal_settings.activate(settings)


def test_a_pasted_address_is_kept_clean(visitor):
    assert visitor.sign_up(email="Mara <mara@acme.example>;").status == 303
    assert Account.objects.get().email == "mara@acme.example"
    visitor.log_out()
    assert visitor.log_in(email="mailto:mara@acme.example").status == 303
