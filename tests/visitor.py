"""A person with a browser without JavaScript, as tests see one."""

import re
import secrets
from datetime import timedelta
from functools import cached_property

from bs4 import BeautifulSoup
from flask import session

from portal import clock
from portal.identity.authentication import cookies
from portal.settings import current
from tests import pages

PASSWORD = "correct horse battery staple"
AN_HOUR = timedelta(hours=1)
POSTED_FORM = re.compile(r"""<form\b[^>]*\bmethod="post".*?</form>""", re.S)
# Forms that strangers were shown, by app and path: under which settings, when, with which cookie,
# and what they carried unseen.
_shown = {}


class Page:
    """An answer, read as a person would."""

    def __init__(self, response):
        self.response = response
        self.status = response.status_code
        response.get_data()  # to its end, where what is streamed says so in the log
        pages.keep(response, "(no request)")  # what came by one was kept already

    @cached_property
    def html(self):
        return BeautifulSoup(self.response.data, "html.parser")

    @property
    def text(self):
        return re.sub(r"\s+", " ", self.html.get_text(" "))

    @property
    def location(self):
        return self.response.headers.get("Location")

    @property
    def heading(self):
        return self.html.h1.get_text(strip=True)

    def fault(self, field):
        """What stands at a field as its error."""
        found = self.html.find(id=f"{field}-error")
        return (
            re.sub(r"\s+", " ", found.get_text(" ", strip=True)).removeprefix("Error: ")
            if found
            else None
        )

    def value(self, field):
        return self.html.find(id=field).get("value", "")


class Visitor:
    """Goes to pages and sends forms, with the CSRF token of a page that it saw."""

    def __init__(self, app):
        self.client = app.test_client()

    def get(self, path, **options):
        return Page(self.client.get(path, **options))

    def post(self, path, fields=None, *, form_at=None, **options):
        hidden = self.hidden(form_at or path)
        return self.send(path, {**hidden, **(fields or {})}, **options)

    def send(self, path, fields, **options):
        return Page(self.client.post(path, data=fields, **options))

    def hidden(self, path):
        """What a page's form carries unseen."""
        text = self.get(path, follow_redirects=True).response.text
        sent = POSTED_FORM.search(text, text.find("<main")) or POSTED_FORM.search(text)
        form = BeautifulSoup(sent[0], "html.parser")  # all of the page takes ten times as long
        inputs = form.find_all("input", {"type": "hidden"})
        return {found["name"]: found["value"] for found in inputs}

    def hidden_from_strangers(self, path):
        """What a form carries unseen. Who has no cookie gets that of an earlier stranger and what
        that was shown, as to be shown it takes longer than to send it."""
        cookie, now = self.client.application.config["SESSION_COOKIE_NAME"], clock.now()
        if self.client.get_cookie(cookie):
            return self.hidden(path)
        place = self.client.application, path
        shown = _shown.get(place)
        if not shown or shown[0] is not current() or not timedelta() <= now - shown[1] < AN_HOUR:
            hidden = self.hidden(path)
            if given := self.client.get_cookie(cookie):
                _shown[place] = current(), now, given.value, hidden
            return hidden
        _, _, value, hidden = shown
        self.client.set_cookie(cookie, value)
        fresh = {"idempotency_key": secrets.token_urlsafe(16)}
        return {name: fresh.get(name, value) for name, value in hidden.items()}

    def token(self, path="/login"):
        """The CSRF token that a page's form carries."""
        return self.hidden(path)["csrf_token"]

    def sign_up(self, name="Acme Corp", email="mara@acme.example", password=PASSWORD, **fields):
        typed = {"organization_name": name, "email": email, "password": password, **fields}
        return self.send("/signup", {**self.hidden_from_strangers("/signup"), **typed})

    def log_in(self, email="mara@acme.example", password=PASSWORD, **fields):
        typed = {"email": email, "password": password, **fields}
        return self.send("/login", {**self.hidden_from_strangers("/login"), **typed})

    def enter(self, principal):
        """Be logged in as the principal, as after the form."""
        app = self.client.application
        with app.test_request_context():
            cookies.enter(principal)
            value = app.session_interface.get_signing_serializer(app).dumps(dict(session))
        self.client.set_cookie(app.config["SESSION_COOKIE_NAME"], value)

    def log_out(self):
        return self.post("/logout", form_at="/organizations/new")
