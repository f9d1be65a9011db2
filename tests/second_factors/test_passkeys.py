"""Passkeys: as second factor after the password, and alone."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from portal import clock
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.second_factors import Challenge, Passkey
from portal.documents.sessions import Session, SessionKind
from portal.identity.second_factors import passkeys
from portal.identity.second_factors.errors import PasskeyRefused
from tests.factories import verify
from tests.processes import at_once
from tests.second_factors.authenticator import Authenticator, decoded, encoded
from tests.visitor import Visitor

NEW = "/account/security/passkeys/new"
REFUSED = "The passkey was not accepted: try again, or use another way"


def options_at(visitor, path):
    return visitor.get(path).html.select_one("[data-passkey]")["data-passkey-options"]


def fault(page):
    return " ".join(
        p.get_text(" ", strip=True) for p in page.html.select("form .fault:not([hidden])")
    )


def add(visitor, key, name="Laptop, work"):
    return visitor.post(
        NEW, {"passkey_name": name, "credential": key.make(options_at(visitor, NEW))}
    )


def log_in_with(visitor, key, path="/login/passkey"):
    return visitor.post(path, {"credential": key.sign(options_at(visitor, path))})


def is_logged_in(visitor):
    return visitor.get("/organizations").status == 200


@pytest.fixture
def mara(visitor):
    """Her browser, logged in."""
    visitor.sign_up()
    verify()
    return visitor


@pytest.fixture
def key(mara):
    """A passkey of hers; she logged out."""
    key = Authenticator()
    assert add(mara, key).status == 200
    mara.log_out()
    return key


def test_a_passkey_that_was_added_is_shown_by_its_name(mara):
    answer = add(mara, Authenticator())
    assert len(answer.html.select(".codes li")) == 10
    assert "You can log in with it" in answer.text
    page = mara.get("/account/security")
    row = page.html.select_one(".passkeys tbody tr")
    assert row.th.get_text(" ", strip=True) == "Laptop, work This key only"
    assert "never" in row.get_text()


def test_a_passkey_that_its_maker_copies_is_shown_as_synced(mara):
    add(mara, Authenticator(syncs=True))
    assert "Synced" in mara.get("/account/security").text


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "a\0b", "a\u202eb"])
def test_a_passkey_needs_a_name_that_can_be_read(mara, name):
    answer = add(mara, Authenticator(), name)
    assert answer.status == 422
    assert answer.fault("passkey_name")
    assert not Passkey.objects


def test_a_passkeys_name_has_joiners_where_writing_has_them(mara):
    add(mara, Authenticator(), "👩‍💻 لپ‌تاپ")
    assert Passkey.objects.get().name == "👩‍💻 لپ‌تاپ"


@pytest.mark.attack("N1")
def test_markup_in_a_name_is_only_text(mara):
    add(mara, Authenticator(), "<b>{{7*7}}</b>")
    page = mara.get("/account/security")
    assert "<b>{{7*7}}</b>" in page.text
    assert "<b>" not in str(page.html.main)


def test_a_passkey_alone_logs_in(key, visitor):
    answer = log_in_with(visitor, key)
    assert answer.status == 303
    assert is_logged_in(visitor)
    session = Session.objects.get()
    assert session.factors == ["passkey"]
    assert Passkey.objects.get().used_at
    event = AuditEvent.objects(action="account.logged_in").order_by("-id").first()
    assert (event.details, event.session) == ({"factors": "passkey"}, session.public_id)


def test_after_the_password_a_passkey_is_the_second_factor(key, visitor):
    assert visitor.log_in().location == "/login/second"
    assert log_in_with(visitor, key, "/login/second").location == "/organizations"
    assert Session.objects.get().factors == ["password", "passkey"]


@pytest.mark.attack("A5")
def test_a_key_that_cannot_know_its_owner_is_a_second_factor_only(mara, visitor):
    key = Authenticator(verifies=False)
    add(mara, key)
    mara.log_out()
    answer = log_in_with(visitor, key)
    assert (answer.status, fault(answer)) == (401, f"Error: {REFUSED}")
    visitor.log_in()
    assert log_in_with(visitor, key, "/login/second").status == 303


@pytest.mark.attack("A5")
@pytest.mark.parametrize("path", ["/login/passkey", "/login/second"])
def test_what_is_not_signed_for_us_by_this_passkey_opens_nothing(key, app, path):
    for wrong in (
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:9999"},
        {"origin": "http://127.0.0.1"},
        {"host": "evil.example"},
        {"user": b"123456789012"},
        {"id": b"another"},
        {"key": Authenticator().key},
        {"count": 0},
    ):
        stranger = Visitor(app)
        if path == "/login/second":
            stranger.log_in()
        answer = log_in_with(stranger, replace(key, **wrong), path)
        words = "The portal doesn’t know this passkey" if "id" in wrong else REFUSED
        assert answer.status == 401, wrong
        assert fault(answer).startswith(f"Error: {words}"), wrong
        assert not is_logged_in(stranger)


@pytest.mark.attack("A5")
def test_a_count_that_stands_still_is_that_of_a_copy(key, visitor):
    copied_at = key.count
    assert log_in_with(visitor, key).status == 303
    visitor.log_out()
    key.count = copied_at
    assert log_in_with(visitor, key).status == 401


def test_passkeys_that_never_count_are_fine(mara, visitor):
    key = Authenticator(counts=False)
    add(mara, key)
    for _ in range(2):
        visitor.log_out()
        assert log_in_with(visitor, key).status == 303


@pytest.mark.attack("A5")
def test_what_was_signed_once_opens_nothing_again(key, visitor, app):
    signed = key.sign(options_at(visitor, "/login/passkey"))
    assert visitor.post("/login/passkey", {"credential": signed}).status == 303
    assert Visitor(app).post("/login/passkey", {"credential": signed}).status == 401


@pytest.mark.attack("A5")
def test_of_two_log_ins_by_one_signature_at_once_one_succeeds(mara, app):
    key = Authenticator(counts=False)
    add(mara, key)
    visitors = [Visitor(app) for _ in range(4)]
    signed = key.sign(options_at(visitors[0], "/login/passkey"))
    tokens = [visitor.token("/login/passkey") for visitor in visitors]
    sends = [
        lambda visitor=visitor, token=token: visitor.send(
            "/login/passkey", {"csrf_token": token, "credential": signed}
        )
        for visitor, token in zip(visitors, tokens, strict=True)
    ]
    assert sorted(answer.status for answer in at_once(sends)) == [303, 401, 401, 401]


@pytest.mark.attack("A5")
def test_what_was_signed_once_opens_nothing_where_a_clock_is_behind(mara, app, time_machine):
    key, now = Authenticator(counts=False), clock.now()
    add(mara, key)
    signed = key.sign(options_at(Visitor(app), "/login/passkey"))
    for seconds, status in ((2, 303), (0, 401)):
        time_machine.move_to(now + timedelta(seconds=seconds))
        assert Visitor(app).post("/login/passkey", {"credential": signed}).status == status


def test_a_challenge_lasts_five_minutes_and_the_page_says_so(key, visitor, time_machine):
    signed = key.sign(options_at(visitor, "/login/passkey"))
    time_machine.move_to(clock.now() + timedelta(minutes=6))
    answer = visitor.post("/login/passkey", {"credential": signed})
    assert answer.status == 401
    assert fault(answer).startswith("Error: More than 5 minutes went by")
    assert json.loads(options_at(visitor, "/login/passkey"))["timeout"] == 5 * 60 * 1000


def test_two_clicks_are_told_from_a_late_one(key, visitor, app):
    signed = key.sign(options_at(visitor, "/login/passkey"))
    visitor.post("/login/passkey", {"credential": signed})
    answer = Visitor(app).post("/login/passkey", {"credential": signed})
    assert answer.status == 401
    assert fault(answer).startswith("Error: This was sent twice")


def signal(page, method):
    [told] = page.html.select(f"[data-passkey-signal={method}]") or [None]
    return told and json.loads(told["data-passkey-subject"])


def test_a_browser_is_told_of_a_passkey_that_the_portal_does_not_know(key, visitor):
    """So that it no longer offers what opens nothing."""
    Passkey.objects.delete()
    answer = log_in_with(visitor, key)
    assert answer.status == 401
    assert fault(answer).startswith("Error: The portal doesn’t know this passkey")
    assert signal(answer, "signalUnknownCredential") == {
        "rpId": "localhost",
        "credentialId": encoded(key.id),
    }
    assert not signal(visitor.get("/login/passkey"), "signalUnknownCredential")


@pytest.mark.parametrize("wrong", [{"origin": "https://evil.example"}, {"count": 0}])
def test_a_browser_keeps_a_passkey_that_the_portal_knows_though_it_was_refused(key, visitor, wrong):
    for name, value in wrong.items():
        setattr(key, name, value)
    answer = log_in_with(visitor, key)
    assert answer.status == 401
    assert not signal(answer, "signalUnknownCredential")


@pytest.mark.parametrize(
    ("name", "minutes", "status"), [("", 0, 422), ("Laptop, work", 6, 401)], ids=["name", "late"]
)
def test_a_browser_is_told_of_a_passkey_that_it_made_and_the_portal_refused(
    mara, time_machine, name, minutes, status
):
    """Else a device has one that nobody else knows."""
    key = Authenticator()
    made = key.make(options_at(mara, NEW))
    time_machine.move_to(clock.now() + timedelta(minutes=minutes))
    answer = mara.post(NEW, {"passkey_name": name, "credential": made})
    assert answer.status == status
    assert signal(answer, "signalUnknownCredential")["credentialId"] == encoded(key.id)


def test_a_browser_is_told_which_passkeys_are_left(mara):
    kept, removed = Authenticator(), Authenticator()
    add(mara, removed, "Old")
    add(mara, kept)
    passkey = Passkey.objects.get(name="Old")
    mara.post(f"/account/security/passkeys/{passkey.id}/remove")
    assert signal(mara.get("/account/security"), "signalAllAcceptedCredentials") == {
        "rpId": "localhost",
        "userId": encoded(Account.objects.get().id.binary),
        "allAcceptedCredentialIds": [encoded(kept.id)],
    }


def test_a_browser_is_told_the_address_that_an_account_has_now(mara):
    """Else password managers show the one from when the passkey was made."""
    assert json.loads(options_at(mara, NEW))["user"]["name"] == "mara@acme.example"
    Account.objects.update(email="mara@new.example", email_key="mara@new.example")
    user = json.loads(options_at(mara, NEW))["user"]
    assert signal(mara.get("/account/security"), "signalCurrentUserDetails") == {
        "rpId": "localhost",
        "userId": user["id"],
        "name": "mara@new.example",
        "displayName": user["displayName"],
    }


def test_a_passkey_is_offered_under_the_name_of_the_portal(mara, settings_with):
    assert json.loads(options_at(mara, NEW))["rp"] == {"id": "localhost", "name": "localhost"}
    with settings_with(portal_name="Acme Console"):
        assert json.loads(options_at(mara, NEW))["rp"]["name"] == "Acme Console"


@pytest.mark.attack("A5")
def test_a_challenge_for_one_purpose_is_none_for_another(key, visitor, app):
    """What was signed to log in doesn't finish a log-in, nor confirm."""
    signed = key.sign(options_at(Visitor(app), "/login/passkey"))
    visitor.log_in()
    assert visitor.post("/login/second", {"credential": signed}).status == 401
    log_in_with(visitor, key, "/login/second")
    signed = key.sign(options_at(Visitor(app), "/login/passkey"))
    answer = visitor.post("/account/confirm?by=passkey", {"credential": signed})
    assert answer.status == 401


@pytest.mark.attack("A5")
def test_a_challenge_of_one_log_in_is_none_for_another(key, visitor, app):
    other = Visitor(app)
    visitor.log_in()
    other.log_in()
    signed = key.sign(options_at(other, "/login/second"))
    assert visitor.post("/login/second", {"credential": signed}).status == 401


@pytest.mark.attack("A5")
def test_a_challenge_that_the_portal_did_not_give_out_is_none(key, visitor):
    mine = json.dumps({"challenge": encoded(b"x" * 32)})
    assert visitor.post("/login/passkey", {"credential": key.sign(mine)}).status == 401


@pytest.mark.attack("A5")
def test_a_passkey_of_another_account_is_no_second_factor(key, visitor, app):
    teo, teos = Visitor(app), Authenticator()
    teo.sign_up("Other", "teo@acme.example")
    verify("teo@acme.example")
    add(teo, teos)
    visitor.log_in()
    answer = log_in_with(visitor, teos, "/login/second")
    assert (answer.status, fault(answer)[:38]) == (401, "Error: This passkey is another account")
    assert not signal(answer, "signalUnknownCredential")
    assert not is_logged_in(visitor)


@pytest.mark.attack("A5")
def test_a_passkey_that_was_removed_opens_nothing(key, visitor):
    log_in_with(visitor, key)
    passkey = Passkey.objects.get()
    answer = visitor.post(f"/account/security/passkeys/{passkey.id}/remove")
    assert answer.location == "/account/security"
    visitor.log_out()
    assert log_in_with(visitor, key).status == 401
    assert visitor.log_in().location == "/organizations"


def test_a_removal_that_is_sent_twice_leads_to_the_list_both_times(key, visitor):
    log_in_with(visitor, key)
    path = f"/account/security/passkeys/{Passkey.objects.get().id}/remove"
    sent = visitor.hidden(path)
    for _ in range(2):
        assert visitor.send(path, sent).location == "/account/security"
    told = visitor.get("/account/security").text
    assert told.count("The passkey is removed and opens nothing any more.") == 1


@pytest.mark.attack("A5")
def test_a_passkey_that_is_removed_while_it_signs_opens_nothing(key, visitor):
    signed = key.sign(options_at(visitor, "/login/passkey"))
    checked = passkeys.check(signed, passkeys.LOG_IN, "")
    Passkey.objects.delete()
    with pytest.raises(PasskeyRefused):
        transaction(lambda: passkeys.use(checked))


def test_one_device_is_not_added_twice(mara, app):
    key = Authenticator()
    add(mara, key)
    assert encoded(key.id) in options_at(mara, NEW)
    answer = add(mara, key)
    assert (answer.status, fault(answer)[:37]) == (409, "Error: This passkey was added already")
    assert not signal(answer, "signalUnknownCredential")
    other = Visitor(app)
    other.sign_up("Other", "teo@acme.example")
    verify("teo@acme.example")
    assert add(other, key).status == 409
    assert Passkey.objects.count() == 1


@pytest.mark.attack("A5")
@pytest.mark.parametrize("wrong", [{"origin": "https://evil.example"}, {"host": "evil.example"}])
def test_a_passkey_made_for_another_site_is_not_added(mara, wrong):
    assert add(mara, Authenticator(**wrong)).status == 401
    assert not Passkey.objects


def test_there_may_be_twenty(mara, monkeypatch):
    monkeypatch.setattr(passkeys, "MAX_PASSKEYS", 2)
    for _ in range(2):
        assert add(mara, Authenticator()).status in (200, 303)
    assert add(mara, Authenticator()).status == 409
    assert Passkey.objects.count() == 2


HOSTILE = [
    "",
    "{}",
    "null",
    "[" * 5000,
    '{"id": {"$ne": 1}}',
    '{"id":"YQ","rawId":"YQ","type":"public-key","response":{"clientDataJSON":"bnVsbA","authenticatorData":"e30","signature":"aa","attestationObject":"e30"}}',
    '{"id":"YQ","rawId":"YQ","type":"public-key","response":{"clientDataJSON":[1],"authenticatorData":{},"signature":7,"attestationObject":null}}',
]


@pytest.mark.attack("Q1", "D3")
def test_what_is_no_credential_is_refused(mara, app):
    for sent in HOSTILE:
        assert Visitor(app).post("/login/passkey", {"credential": sent}).status == 401, sent
        assert mara.post(NEW, {"passkey_name": "x", "credential": sent}).status == 401, sent


@pytest.mark.attack("D3")
@pytest.mark.parametrize("place", ["clientDataJSON", "authenticatorData", "signature"])
def test_a_signature_that_is_cut_anywhere_is_refused(key, visitor, place):
    for length in (0, 1, 10, 36):
        sent = cut(key.sign(options_at(visitor, "/login/passkey")), place, length)
        assert visitor.post("/login/passkey", {"credential": sent}).status == 401, length


@pytest.mark.attack("D3")
@pytest.mark.parametrize("place", ["clientDataJSON", "attestationObject"])
def test_a_passkey_that_is_cut_anywhere_is_not_added(mara, place):
    for length in (0, 1, 10, 30, 60, 90):
        sent = cut(Authenticator().make(options_at(mara, NEW)), place, length)
        answer = mara.post(NEW, {"passkey_name": "x", "credential": sent})
        assert answer.status == 401, length
        assert not Passkey.objects


def cut(credential, place, length):
    sent = json.loads(credential)
    sent["response"][place] = encoded(decoded(sent["response"][place])[:length])
    return json.dumps(sent)


def test_a_passkey_is_renamed(key, visitor):
    log_in_with(visitor, key)
    path = f"/account/security/passkeys/{Passkey.objects.get().id}"
    assert visitor.get(path).value("passkey_name") == "Laptop, work"
    assert visitor.post(path, {"passkey_name": ""}).fault("passkey_name")
    assert visitor.post(path, {"passkey_name": "Blue key"}).status == 303
    assert "Blue key" in visitor.get("/account/security").text


@pytest.mark.attack("T1")
@pytest.mark.parametrize("path", ["", "/remove"])
def test_another_accounts_passkey_is_not_there(key, app, path):
    passkey = Passkey.objects.get()
    teo = Visitor(app)
    teo.sign_up("Other", "teo@acme.example")
    for found in (passkey.id, "nothing", "0" * 24):
        there = f"/account/security/passkeys/{found}{path}"
        answer = teo.post(there, {"passkey_name": "Mine"}, form_at="/account/security")
        assert answer.status == 404
        assert teo.get(there).status == 404
    assert Passkey.objects.get().name == "Laptop, work"


def test_without_javascript_the_page_says_what_is_missing(visitor):
    page = visitor.get("/login/passkey")
    assert "Passkeys need JavaScript" in page.text


def test_a_try_without_the_end_leaves_no_challenge_for_long(visitor):
    visitor.get("/login/passkey")
    [left] = Challenge.objects
    assert left.expires_at <= clock.now() + passkeys.CHALLENGE_LIFE
    assert not Session.objects(kind=SessionKind.PENDING)
