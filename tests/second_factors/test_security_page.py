"""Setting second factors up, replacing and removing them."""

import re
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, unquote

import pyotp
import pytest

from portal import clock, settings
from portal.database.resealing import reseal_all
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from portal.documents.second_factors import AuthenticatorApp, RecoveryCodes
from portal.documents.sessions import Session
from portal.identity.accounts.creating import verify_by_link
from portal.identity.second_factors import enrollment, totp
from portal.identity.sessions import browsers
from portal.mail import sender
from portal.settings import sealing
from tests.factories import (
    a_context,
    a_member,
    an_account,
    an_app,
    collections_in,
    earlier_code,
    verify,
)
from tests.mail.post_office import text_of
from tests.processes import at_once
from tests.visitor import PASSWORD, Visitor

APP = "/account/security/app"


@pytest.fixture
def mara(visitor):
    """Her browser, logged in."""
    visitor.sign_up()
    verify()
    return visitor


def offered(visitor):
    """The app that scanned what the page shows."""
    shown = visitor.get(APP).html.select_one(".secret").get_text()
    return pyotp.TOTP(shown.replace(" ", ""))


def code_of(app, offset=0):
    return app.at(clock.now(), counter_offset=offset)


def set_up(visitor):
    """The app, and the recovery codes that were shown."""
    app = offered(visitor)
    answer = visitor.post(APP, {"code": earlier_code(app)})
    assert answer.status == 200
    return app, codes_in(answer)


def codes_in(page):
    return [code.get_text() for code in page.html.select(".codes code")]


def line(page, name):
    row = next(div for div in page.html.select(".pairs > div") if div.dt.get_text() == name)
    return re.sub(r"\s+", " ", row.dd.get_text(" ", strip=True))


def test_nothing_is_asked_for_before_the_first_code_is_right(mara):
    offered(mara)
    page = mara.post(APP, {"code": "000000"})
    assert page.fault("code").startswith("This code is not valid")
    assert len(page.html.find_all(autofocus=True)) == 1
    assert not AuthenticatorApp.objects
    assert line(mara.get("/account/security"), "Authenticator app") == "Not set up Set up"
    mara.log_out()
    assert mara.log_in().location == "/organizations"


def test_an_app_that_is_set_up_is_asked_for(mara):
    app, _ = set_up(mara)
    page = mara.get("/account/security")
    assert line(page, "Authenticator app").startswith("On since")
    assert line(page, "Recovery codes") == "10 of 10 left Make new codes"
    mara.log_out()
    assert mara.log_in().location == "/login/second"
    assert mara.post("/login/second", {"code": code_of(app)}).status == 303


def test_the_page_shows_one_secret_until_it_is_confirmed(mara):
    first = offered(mara)
    assert offered(mara).secret == first.secret
    mara.post(APP, {"code": code_of(first)})
    assert offered(mara).secret != first.secret


def test_the_picture_is_what_apps_read(mara):
    app = offered(mara)
    address = totp.provisioning_uri(app.secret, "mara@acme.example")
    parsed = pyotp.parse_uri(address)
    assert (parsed.secret, parsed.issuer, parsed.name) == (
        app.secret,
        "localhost",
        "mara@acme.example",
    )
    svg = mara.get(APP).html.select_one("svg.qr")
    assert svg.path
    assert "style" not in str(svg)


def test_a_telephone_that_has_the_app_opens_it_by_a_link(mara):
    app = offered(mara)
    [link] = mara.get(APP).html.select("main a[href^=otpauth]")
    assert link["href"] == totp.provisioning_uri(app.secret, "mara@acme.example")


@pytest.mark.parametrize(
    ("changed", "issuer"),
    [
        ({"public_url": "https://portal.acme.example:8443"}, "portal.acme.example"),
        ({"public_url": "http://[::1]:8000"}, "--1"),
        ({"portal_name": "R&D + Ops, 喵 (test)?"}, "R&D + Ops, 喵 (test)?"),
    ],
)
def test_an_app_tells_one_installation_from_another(app, settings_with, changed, issuer):
    with settings_with(**changed):
        uri = totp.provisioning_uri(pyotp.random_base32(), "a+b@acme.example")
    label, _, parameters = uri.removeprefix("otpauth://totp/").partition("?")
    assert [unquote(part) for part in label.split(":")] == [issuer, "a+b@acme.example"]
    assert parse_qs(parameters)["issuer"] == [issuer]
    assert "+" not in uri


def test_an_app_is_not_set_up_by_what_is_no_code(mara):
    app = offered(mara)
    for typed in ("12345", "abcd-efgh-ijkl-mnop", ""):
        page = mara.post(APP, {"code": typed})
        assert page.status == 422
        assert page.fault("code").startswith("A code of the app has 6 digits")
    code = earlier_code(app)
    assert mara.post(APP, {"code": f"{code[:3]}-{code[3:]}"}).status == 200


@pytest.mark.attack("A5")
def test_the_code_that_confirmed_works_no_more(mara):
    app = offered(mara)
    code = code_of(app)
    mara.post(APP, {"code": code})
    mara.log_out()
    mara.log_in()
    assert mara.post("/login/second", {"code": code}).status == 401


@pytest.mark.attack("L1")
def test_the_secret_is_sealed_in_the_database(mara, master_db):
    app = offered(mara)
    assert app.secret not in str(list(master_db.sessions.find()))
    mara.post(APP, {"code": code_of(app)})
    assert app.secret not in str(
        [list(master_db[name].find()) for name in collections_in(master_db)]
    )


@pytest.mark.attack("S3")
def test_a_secret_lives_through_the_rotation_of_the_key():
    """With the old key as fallback, and without it once a portal started."""
    mara = an_account("mara@acme.example")
    app, _ = an_app(mara)
    old = settings.current()
    new = replace(old, secret_key="n" * 40, secret_key_fallbacks=(old.secret_key,))
    try:
        settings.activate(replace(new, secret_key_fallbacks=()))
        with pytest.raises(totp.WrongCode):
            transaction(lambda: totp.use(mara, code_of(app)))
        settings.activate(new)
        transaction(lambda: totp.use(mara, code_of(app)))
        assert (reseal_all(), reseal_all()) == (1, 0)
        settings.activate(replace(new, secret_key_fallbacks=()))
        transaction(lambda: totp.use(mara, code_of(app, 1)))
    finally:
        settings.activate(old)


def test_what_is_sealed_differs_each_time():
    assert sealing.seal("secret") != sealing.seal("secret")
    assert sealing.unseal("something else") is None


def test_of_two_confirmations_at_once_one_counts(mara, app):
    offer = offered(mara)
    token, code = mara.token(APP), code_of(offer)
    others = [Visitor(app) for _ in range(3)]
    for other in others:
        other.client.set_cookie(
            "portal_session_test", mara.client.get_cookie("portal_session_test").value
        )
    answers = at_once(
        [
            lambda other=other: other.send(APP, {"csrf_token": token, "code": code})
            for other in others
        ]
    )
    assert sorted(answer.status for answer in answers) == [200, 401, 401]
    assert len(RecoveryCodes.objects.get().hashes) == 10
    assert sorted(len(codes_in(answer)) for answer in answers) == [0, 0, 10]


def test_recovery_codes_are_in_the_one_answer_that_makes_them(mara):
    answer = mara.post(APP, {"code": code_of(offered(mara))})
    codes = codes_in(answer)
    assert len(set(codes)) == 10
    assert all(re.fullmatch("[a-z2-7]{4}(-[a-z2-7]{4}){3}", code) for code in codes)
    assert "The authenticator app is set up" in answer.text
    assert answer.response.headers["Cache-Control"] == "no-store"
    assert not any(codes[0] in mara.get(path).text for path in ("/account/security", APP))


@pytest.mark.parametrize("path", [APP, "/account/security/codes/new"])
def test_no_method_that_is_safe_makes_or_uses_up_codes(mara, path):
    """A browser that fetches ahead sees nothing that its person does not."""
    set_up(mara)
    before = RecoveryCodes.objects.get().hashes
    for _ in range(2):
        assert mara.client.head(path).status_code == 200
        assert codes_in(mara.get(path)) == []
    assert RecoveryCodes.objects.get().hashes == before


@pytest.mark.parametrize("path", [APP, "/account/security/codes/new"])
def test_codes_that_were_shown_stay_good_when_their_page_is_loaded_anew(mara, path):
    given = {}
    if path == APP:
        given = {"code": earlier_code(offered(mara))}
    else:
        set_up(mara)
    fields = {**mara.hidden(path), **given}
    first = codes_in(mara.send(path, fields))
    again = mara.send(path, fields)
    assert (again.status, codes_in(again)) == (200, [])
    assert "It was done already, and once." in again.text
    mara.log_out()
    mara.log_in()
    assert mara.post("/login/second", {"code": first[0]}).status == 303


def test_of_a_double_click_on_new_codes_one_makes_them(mara, app):
    set_up(mara)
    path = "/account/security/codes/new"
    fields = mara.hidden(path)
    answers = at_once([lambda: with_cookie_of(mara, app).send(path, fields) for _ in range(3)])
    assert [answer.status for answer in answers] == [200] * 3
    [codes] = filter(None, (codes_in(answer) for answer in answers))
    mara.log_out()
    mara.log_in()
    assert mara.post("/login/second", {"code": codes[0]}).status == 303


def with_cookie_of(visitor, app):
    other = Visitor(app)
    cookie = visitor.client.get_cookie("portal_session_test").value
    other.client.set_cookie("portal_session_test", cookie)
    return other


@pytest.mark.attack("L1")
def test_the_database_holds_no_recovery_code(mara, master_db):
    _, codes = set_up(mara)
    everything = str([list(master_db[name].find()) for name in collections_in(master_db)])
    assert not any(code in everything or code.replace("-", "") in everything for code in codes)


def test_new_recovery_codes_end_those_before(mara):
    _, old = set_up(mara)
    new = codes_in(mara.post("/account/security/codes/new"))
    assert len(new) == 10
    assert not set(new) & set(old)
    mara.log_out()
    mara.log_in()
    assert mara.post("/login/second", {"code": old[0]}).status == 401
    assert mara.post("/login/second", {"code": new[0]}).status == 303


def test_without_a_factor_there_is_nothing_to_recover(mara):
    page = mara.post("/account/security/codes/new")
    assert page.status == 409
    assert page.heading == "You have no second factor"


def test_few_codes_left_are_pointed_out(mara):
    set_up(mara)
    RecoveryCodes.objects.update(pop__hashes=1)
    RecoveryCodes.objects.update(set__hashes=RecoveryCodes.objects.get().hashes[:3])
    page = mara.get("/account/security")
    assert page.html.select_one(".attention").get_text(strip=True) == "3 of 10 left"


def test_an_app_is_replaced_by_another_and_codes_stay(mara):
    old, _ = set_up(mara)
    new = offered(mara)
    assert mara.post(APP, {"code": earlier_code(new)}).location == "/account/security"
    mara.log_out()
    mara.log_in()
    assert mara.post("/login/second", {"code": code_of(old)}).status == 401
    assert mara.post("/login/second", {"code": code_of(new)}).status == 303


def test_without_the_last_factor_the_password_is_enough(mara):
    set_up(mara)
    assert mara.post(f"{APP}/remove").location == "/account/security"
    assert not RecoveryCodes.objects
    assert Account.objects.get().has_second_factor is False
    mara.log_out()
    assert mara.log_in().location == "/organizations"


def test_removing_an_app_that_is_not_there_is_no_error(mara):
    assert mara.post(f"{APP}/remove").status == 303
    assert not AuditEvent.objects(action="account.app_removed")


@pytest.mark.parametrize("deed", ["replace", "remove", "forget"])
def test_remembered_browsers_are_asked_again_after_a_change(mara, deed):
    set_up(mara)
    account = Account.objects.get()
    browser = mara.client.get_cookie("portal_browser_test").value
    browsers.trust(account.id, browser, clock.now() + timedelta(days=30))
    assert line(mara.get("/account/security"), "Remembered browsers").startswith("1, until")
    if deed == "replace":
        mara.post(APP, {"code": earlier_code(offered(mara))})
    elif deed == "remove":
        mara.post(f"{APP}/remove")
    else:
        mara.post("/account/security/browsers/forget", form_at="/account/security")
    assert not browsers.is_trusted(account.id, browser)


def test_what_belongs_to_an_account_that_never_was_goes_with_it():
    mara = an_account("mara@acme.example")
    an_app(mara)
    browsers.remember(mara.id, browsers.new_id())
    transaction(lambda: enrollment.delete_all(mara.id))
    assert not AuthenticatorApp.objects
    assert not RecoveryCodes.objects


def test_each_change_is_told_by_mail(mara, app, office):
    _, codes = set_up(mara)
    new = codes_in(mara.post("/account/security/codes/new"))
    mara.log_out()
    mara.log_in()
    mara.post("/login/second", {"code": new[0]})
    mara.post(f"{APP}/remove")
    sender.send_due_mails(app)
    told = {message["Subject"]: message for message in office.to("mara@acme.example")}
    assert set(told) >= {
        "A second factor was added to your account",
        "A second factor was removed from your account",
        "Your account has new recovery codes",
        "A recovery code of your account was used",
    }
    added = text_of(told["A second factor was added to your account"])
    assert "The authenticator app was added" in added
    assert "http://localhost/account/security" in added
    assert not any(
        code in text_of(message) for message in office.messages for code in [*codes, *new]
    )


def test_each_change_is_in_the_accounts_trail(mara):
    set_up(mara)
    mara.post("/account/security/codes/new")
    mara.post(APP, {"code": earlier_code(offered(mara))})
    mara.post(f"{APP}/remove")
    actions = [
        event.action for event in AuditEvent.objects(chain=Account.objects.get().id).order_by("seq")
    ]
    assert actions == [
        "account.app_added",
        "account.recovery_codes_made",
        "account.app_replaced",
        "account.app_removed",
    ]


CONFIRMED = [
    ("GET", APP),
    ("POST", APP),
    ("GET", f"{APP}/remove"),
    ("POST", f"{APP}/remove"),
    ("GET", "/account/security/passkeys/new"),
    ("POST", "/account/security/passkeys/new"),
    ("GET", "/account/security/codes/new"),
    ("POST", "/account/security/codes/new"),
    ("POST", "/organizations/acme-corp/second-factor"),
    ("GET", "/account/address"),
    ("POST", "/account/address"),
    ("GET", "/account/password"),
    ("POST", "/account/password"),
    ("GET", "/account/close"),
    ("POST", "/account/close"),
]


def test_dangerous_pages_ask_again_after_a_quarter_of_an_hour(mara, time_machine):
    set_up(mara)
    token = mara.token("/organizations/new")
    time_machine.move_to(clock.now() + timedelta(minutes=16))
    for method, path in CONFIRMED:
        answer = mara.get(path) if method == "GET" else mara.send(path, {"csrf_token": token})
        assert answer.location == f"/account/confirm?next={path}"
        assert AuthenticatorApp.objects, (method, path)


def test_a_purge_asks_again_after_a_quarter_of_an_hour(mara, time_machine):
    mara.post("/organizations/acme-corp/delete", {"confirm_name": "Acme Corp"})
    link = mara.get("/trash").html.find("a", string="Purge now…")["href"]
    assert mara.get(link).status == 200
    time_machine.move_to(clock.now() + timedelta(minutes=16))
    assert mara.get(link).location == f"/account/confirm?next={link}"


@pytest.mark.parametrize("page", ["delete", "keys/new", "second-factor", "members/{}/ownership"])
def test_an_organizations_dangerous_pages_ask_again_too(mara, page, time_machine):
    teo = a_member(Organization.objects.get(), Role.ADMIN)
    path = f"/organizations/acme-corp/{page.format(teo.id)}"
    assert mara.get(path).status == 200
    token = mara.token(path)
    time_machine.move_to(clock.now() + timedelta(minutes=16))
    for answer in (mara.get(path), mara.send(path, {"csrf_token": token})):
        assert answer.location == f"/account/confirm?next={path}"


def test_the_export_asks_again_and_leads_back_to_where_it_is_asked_for(mara, time_machine):
    assert mara.get("/account/export").status == 200
    time_machine.move_to(clock.now() + timedelta(minutes=16))
    asked = mara.get("/account/export").location
    back = mara.post(asked, {"current_password": PASSWORD}).location
    assert back == "/account#data"
    assert mara.get(back).html.find(id="data")
    assert mara.get("/account/export").status == 200
    assert AuditEvent.objects(action="account.exported").count() == 2


@pytest.mark.attack("A5")
def test_a_session_found_open_locks_no_owner_out(mara, time_machine):
    """Who knows the password too changes nothing without the factor."""
    set_up(mara)
    time_machine.move_to(clock.now() + timedelta(minutes=16))
    before = Account.objects.get().to_mongo()
    token = mara.token("/organizations/new")
    for path, given in {
        "/account/address": {"email": "thief@acme.example"},
        "/account/password": {"password": "another battery of horses"},
        "/account/close": {"confirm_email": "mara@acme.example"},
    }.items():
        fields = {"csrf_token": token, "current_password": PASSWORD, **given}
        assert mara.send(path, fields).location == f"/account/confirm?next={path}"
    assert Account.objects.get().to_mongo() == before


def test_a_recovery_code_confirms_where_the_factor_is_lost(mara, time_machine):
    _, codes = set_up(mara)
    time_machine.move_to(clock.now() + timedelta(minutes=16))
    asked = mara.get(f"{APP}/remove").location
    way = mara.get(asked).html.find("a", string="Use a recovery code")["href"]
    assert mara.post(way, {"code": codes[0]}).location == f"{APP}/remove"
    assert mara.post(f"{APP}/remove").location == "/account/security"
    assert not AuthenticatorApp.objects


@pytest.mark.parametrize("by", ["password", "code"])
def test_confirming_leads_back_and_lasts_a_quarter_of_an_hour(mara, by, time_machine):
    page = f"{APP}/remove" if by == "code" else APP
    app, _ = set_up(mara) if by == "code" else (None, None)
    time_machine.move_to(clock.now() + timedelta(minutes=16))
    asked = mara.get(page).location
    given = {"code": code_of(app)} if app else {"current_password": PASSWORD}
    wrong = mara.post(f"{asked}&by={by}", {by: "wrong"})
    assert wrong.status in (401, 422)
    assert mara.get(page).location == asked
    assert mara.post(f"{asked}&by={by}", given).location == page
    assert mara.get(page).status == 200
    time_machine.move_to(clock.now() + timedelta(minutes=16))
    assert mara.get(page).location == asked


@pytest.mark.attack("A5")
def test_who_has_a_second_factor_does_not_confirm_by_the_password_alone(mara, time_machine):
    set_up(mara)
    time_machine.move_to(clock.now() + timedelta(minutes=16))
    mara.post("/account/confirm?by=password", {"current_password": PASSWORD})
    assert mara.get(f"{APP}/remove").location.startswith("/account/confirm")


@pytest.mark.attack("S1")
def test_confirming_in_one_session_confirms_no_other(mara, app, time_machine):
    other = Visitor(app)
    shown, _ = set_up(mara)
    other.log_in()
    assert other.post("/login/second", {"code": code_of(shown)}).status == 303
    time_machine.move_to(clock.now() + timedelta(minutes=16))
    mara.post("/account/confirm", {"code": code_of(shown)})
    assert mara.get(APP).status == 200
    assert other.get(APP).status == 303
    assert Session.objects.count() == 2


@pytest.mark.attack("C2")
@pytest.mark.parametrize(
    "target", ["//evil.example", "https:evil", "/\\evil.example", "javascript:alert(1)"]
)
def test_confirming_stays_on_the_site(mara, target):
    token = mara.token("/account/confirm")
    fields = {"csrf_token": token, "current_password": PASSWORD}
    answer = mara.send("/account/confirm", fields, query_string={"next": target})
    assert answer.location == "/account/security"


@pytest.mark.attack("A1")
def test_passwords_are_not_guessed_by_confirming(mara):
    active = settings.current()
    settings.activate(replace(active, rate_limits=True))
    try:
        token = mara.token("/account/confirm")
        statuses = [
            mara.send("/account/confirm", {"csrf_token": token, "current_password": "wrong"}).status
            for _ in range(11)
        ]
        assert statuses == [422] * 5 + [429] * 6
    finally:
        settings.activate(active)


@pytest.mark.attack("A7")
def test_who_proves_an_address_keeps_no_factor_of_whoever_typed_it():
    """Factors of a version that let them be added before."""
    account = an_account("mara@acme.example")
    an_app(account)
    account.update(unset__verified_at=True)
    browsers.remember(account.id, browser := browsers.new_id())
    proved = verify_by_link(Account.objects.get(), PASSWORD, a_context())
    assert proved.has_second_factor is False
    assert not AuthenticatorApp.objects
    assert not RecoveryCodes.objects
    assert not Session.objects
    assert not browsers.is_known(account.id, browser)
