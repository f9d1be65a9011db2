"""Addresses that the portal can mail to."""

import structlog

from portal import settings
from portal.email_addresses import EmailAddress, parse_email
from portal.mail import transport
from portal.mail.errors import LocalEmail, UnreachableEmail

log = structlog.get_logger()


def parse_recipient(text: str) -> EmailAddress:
    """Parse an address as typed, by ``parse_email``, that mails will be sent to.

    Raises InvalidEmail; LocalEmail where the settings allow none of a local domain;
    UnreachableEmail where the mail server takes none with such letters before the @.
    """
    address = parse_email(text)
    if address.is_local and not settings.current().local_email_domains:
        raise LocalEmail(address.shown)
    if address.needs_smtputf8 and not _smtputf8_offered():
        raise UnreachableEmail(address.shown)
    return address


def _smtputf8_offered() -> bool:
    active = settings.current()
    try:
        return transport.offers_smtputf8(active.mail_server, active.mail_port)
    except OSError as error:
        log.warning("mail.smtputf8_unknown", error=str(error)[:300])
        return False
