"""People and invitations."""

import re

import pytest

from portal.mail import sender
from tests.factories import a_member, an_account, an_organization
from tests.mail.post_office import text_of
from tests.visitor import Visitor

MARA, LENA = "mara@acme.example", "lena@acme.example"


@pytest.fixture
def mara():
    """Who owns Acme Corp."""
    return an_account(MARA)


@pytest.fixture
def acme(mara):
    return an_organization("Acme Corp", mara)


@pytest.fixture
def enter(app):
    """Log a browser in; without an address it is a stranger's."""

    def enter(email=None):
        visitor = Visitor(app)
        if email:
            assert visitor.log_in(email).status == 303
        return visitor

    return enter


@pytest.fixture
def owner(acme, enter):
    """The browser of the owner of Acme Corp."""
    return enter(MARA)


@pytest.fixture
def join(acme):
    """Make somebody a member of Acme Corp."""
    return lambda email, role: a_member(acme, role, email)


@pytest.fixture
def mailed(app, office):
    """The links that an address was mailed, the newest last, as paths."""

    def mailed(email=LENA):
        sender.send_due_mails(app)
        texts = [text_of(message) for message in office.to(email)]
        return [found for text in texts for found in re.findall(r"http://localhost(/\S+)", text)
                if found.startswith("/invitations/")]  # fmt: skip

    return mailed


@pytest.fixture
def invite(owner, mailed):
    """Have Acme Corp's owner invite an address; the link that is mailed."""

    def invite(email=LENA, role="viewer"):
        fields = {"email": email, "role": role}
        path = "/organizations/acme-corp"
        answer = owner.post(f"{path}/invitations", fields, form_at=f"{path}/members")
        assert answer.status == 303, answer.text
        return mailed(email)[-1]

    return invite
