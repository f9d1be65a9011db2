"""E-mail addresses: syntax, and equality."""

import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from portal.errors import Invalid

# RFC 5321 allows 254 characters; normalizing takes seconds for 30,000 marks on one letter.
_LONGEST_TYPED = 1000


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """An address for display, and the key that equal addresses share."""

    shown: str
    key: str


def parse_email(text: str) -> EmailAddress:
    """Parse an address as typed.

    Two addresses are the same if they are equal in NFC, casefolded, with the domain in IDNA. Checks
    only the syntax, and looks nothing up. Raises InvalidEmail.
    """
    if len(text) > _LONGEST_TYPED:
        raise InvalidEmail(text)
    try:
        valid = validate_email(text.strip(), check_deliverability=False)
    except (EmailNotValidError, UnicodeError) as error:
        raise InvalidEmail(text) from error
    local = unicodedata.normalize("NFC", valid.local_part).casefold()
    domain = (valid.ascii_domain or valid.domain).casefold()
    return EmailAddress(shown=valid.normalized, key=f"{local}@{domain}")


class InvalidEmail(Invalid):
    """Not an e-mail address."""

    code = "invalid_email"
    field = "email"
    message = "Enter an e-mail address, like mara@acme.example"
