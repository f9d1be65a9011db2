"""A second factor that is sent twice, as by a double click, leads twice to one place."""

import pytest

from portal.documents.audit import AuditEvent
from tests.visitor import Visitor

COOKIE = "portal_session_test"


@pytest.fixture(params=[True, False], ids=["with the new cookie", "with the old one"])
def twice(request):
    def send(visitor, path, sent):
        before = visitor.client.get_cookie(COOKIE).value
        first = visitor.send(path, sent)
        after = visitor.client.get_cookie(COOKIE).value
        if not request.param:
            visitor.client.set_cookie(COOKIE, before)
        second = visitor.send(path, sent)
        visitor.client.set_cookie(COOKIE, after)  # a browser keeps what the first answer set
        return first, second

    return send


def test_a_code_logs_in_once(visitor, mara, twice):
    visitor.log_in()
    path = "/login/second?next=/account"
    sent = {**visitor.hidden(path), "code": mara.code()}
    for answer in twice(visitor, path, sent):
        assert (answer.status, answer.location) == (303, "/account")
    assert visitor.get("/account").status == 200
    assert len(AuditEvent.objects(action="account.logged_in")) == 1


def test_a_code_confirms_once(visitor, mara, twice):
    visitor.log_in()
    visitor.post("/login/second", {"code": mara.codes[0]})
    path = "/account/confirm?next=/account/password"
    sent = {**visitor.hidden(path), "code": mara.code()}
    for answer in twice(visitor, path, sent):
        assert (answer.status, answer.location) == (303, "/account/password")
    assert len(AuditEvent.objects(action="account.confirmed")) == 1


@pytest.mark.attack("A5")
def test_a_used_code_in_another_form_is_worth_nothing(app, visitor, mara):
    visitor.log_in()
    code = mara.code()
    assert visitor.post("/login/second", {"code": code}).status == 303
    thief = Visitor(app)
    thief.log_in()
    answer = thief.post("/login/second", {"code": code})
    assert answer.status == 401
    assert len(AuditEvent.objects(action="account.logged_in")) == 1
