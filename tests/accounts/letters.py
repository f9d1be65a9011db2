"""The mails that a person gets, and the links in them."""

import re
from urllib.parse import parse_qs, urlsplit

from portal.mail import sender
from tests.mail.post_office import text_of


class Letters:
    """Has what is due sent, and reads it."""

    def __init__(self, app, office):
        self.app, self.office = app, office

    def to(self, address):
        """The subjects of all that an address got until now, sorted."""
        sender.send_due_mails(self.app)
        return sorted(message["Subject"] for message in self.office.to(address))

    def text(self, address, subject):
        """The text of the newest one of this subject."""
        sender.send_due_mails(self.app)
        found = [m for m in self.office.to(address) if m["Subject"] == subject]
        return text_of(found[-1])

    def link(self, address, subject):
        """The path that the newest one leads to."""
        [link] = re.findall(r"http://localhost(/\S+)", self.text(address, subject))
        return link


def token_of(link):
    return parse_qs(urlsplit(link).query)["token"][0]
