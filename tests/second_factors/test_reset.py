"""The operator lets somebody in who has lost their second factors."""

from portal.audit.trail import ListedEvent
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.second_factors import AuthenticatorApp, Passkey, RecoveryCodes
from portal.documents.sessions import Browser, Session
from tests.accounts.letters import Letters
from tests.factories import a_passkey, a_session
from tests.visitor import Visitor

MARA = "mara@acme.example"


def reset(app, address=MARA):
    return app.test_cli_runner().invoke(args=["accounts", "reset-factors", address])


def test_the_password_alone_opens_the_account_again(app, visitor, mara):
    a_passkey(Account.objects.get(id=mara.id))
    assert visitor.log_in().location == "/login/second"
    done = reset(app, "Mara@ACME.example")
    assert (done.exit_code, done.output.split(".")[0]) == (0, "mara@acme")
    for kind in (AuthenticatorApp, Passkey, RecoveryCodes, Browser):
        assert not kind.objects
    assert visitor.log_in().location == "/organizations"
    assert "Not set up" in visitor.get("/account/security").text


def test_who_holds_the_lost_device_is_out(app, mara):
    holder = Visitor(app)
    holder.log_in()
    assert holder.post("/login/second", {"code": mara.code()}).status == 303
    a_session(MARA)
    reset(app)
    assert not Session.objects
    assert holder.get("/organizations").location == "/login?next=/organizations"


def test_it_is_in_the_trail_as_the_operators_and_told_by_mail(app, office, mara):
    reset(app)
    event = AuditEvent.objects(chain=mara.id).order_by("-seq").first()
    assert (event.action, event.actor_kind, event.actor) == (
        "account.factors_reset", "operator", None,
    )  # fmt: skip
    assert ListedEvent.of(event.to_mongo()).actor_shown == "the operator"
    text = Letters(app, office).text(MARA, "Your account’s second factors were reset")
    assert "Whoever runs this portal removed your authenticator app" in " ".join(text.split())
    assert app.test_cli_runner().invoke(args=["audit", "verify"]).exit_code == 0
    assert app.test_cli_runner().invoke(args=["doctor"]).exit_code == 0


def test_what_can_not_be_reset_is_told_and_changes_nothing(app, mara):
    reset(app)
    before = AuditEvent.objects.count()
    for address, words in (
        (MARA, "mara@acme.example has no second factor. Nothing was changed."),
        ("teo@acme.example", "No account has the address teo@acme.example."),
        ("Mara", "Mara is no e-mail address."),
    ):
        refused = reset(app, address)
        assert (refused.exit_code, refused.output) == (2, f"Error: {words}\n")
    assert AuditEvent.objects.count() == before
