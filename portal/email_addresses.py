"""E-mail addresses: syntax, and equality."""

import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote

import email_validator
import idna
from email_validator import EmailNotValidError, validate_email

from portal.errors import Invalid

# RFC 5321 allows 254 characters; normalizing takes seconds for 30,000 marks on one letter.
_LONGEST_TYPED = 1000
# The library's way to accept what is reserved for use within a network (RFC 6761, 6762 G, 8375).
email_validator.SPECIAL_USE_DOMAIN_NAMES[:] = ["invalid", "onion"]
_LOCAL = re.compile(
    r"localhost|.+\.(localhost|localdomain|local|test|home\.arpa|internal|intranet|private|corp"
    r"|home|lan)"
)
# What mail programs and pages put around a copied address.
_UNSEEN = re.compile(r"[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
# ``Mara <address>``, as Outlook has it ``Mara [mailto:address]``, ``address (Mara)``; as chats have
# it ``<mailto:address|address>``, and Markdown ``[Mara](mailto:address)``. Each character can be
# matched in one way only, so that none of the length of a page is looked at again and again.
_NAMED = re.compile(
    r"[^<>]*<(?P<angle>[^<>|]+)(?:\|[^<>]*)?>"
    r"|[^\[\]@]*\[(?P<square>[^\[\]]+)\]"
    r"|(?P<first>[^\s()@]+@[^\s()@]+)\s*\([^()@]*\)"
    r"|\[[^\[\]]*\]\((?P<target>[^()]+)\)"
)
_LINK = re.compile(r"(?:mailto|smtp|e-?mail):/*+\s*+([^?]*)(\?.*)?", re.IGNORECASE)
_FULL_WIDTH = re.compile(r"[\uff01-\uff5e]")  # an input method's
_JOINERS = re.compile(r"[\u200c\u200d]")
_QUOTED = re.compile(r"""(["'`“‘„‚«»‹›「『(\[])(.*)["'`”’“‘«»‹›」』)\]]""")


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """An address for display, and the key that equal addresses share."""

    shown: str
    key: str

    @property
    def by_domain(self) -> str:
        """The key with its domain in front: ``acme.example@mara``."""
        local, _, domain = self.key.rpartition("@")
        return f"{domain}@{local}"

    @property
    def is_local(self) -> bool:
        """Tell whether its domain exists only within a network, like ``corp.local``."""
        return _is_local(self.key)

    @property
    def needs_smtputf8(self) -> bool:
        """Tell whether only mail servers with SMTPUTF8 (RFC 6531) carry mails to it."""
        return not self.shown.rpartition("@")[0].isascii()


def parse_email(text: str) -> EmailAddress:
    """Parse an address as typed, or as pasted from a mail program or a link.

    Two addresses are the same if they are equal in NFC, casefolded, with the domain in IDNA. Checks
    only the syntax, and looks nothing up. Raises InvalidEmail.
    """
    if len(text) > _LONGEST_TYPED:
        raise InvalidEmail(text)
    pasted = _unwrap(text)
    try:
        joined = _domain_with_joiners(pasted)
        valid = validate_email(
            f"{pasted.rpartition('@')[0]}@{_JOINERS.sub('', joined)}" if joined else pasted,
            check_deliverability=False,
            globally_deliverable=not _is_local(pasted),
        )
        encoded = idna.encode(joined).decode() if joined else valid.ascii_domain or valid.domain
    except (EmailNotValidError, UnicodeError) as error:
        raise InvalidEmail(text) from error
    local = unicodedata.normalize("NFC", valid.local_part).casefold()
    shown = f"{valid.local_part}@{joined}" if joined else valid.normalized
    return EmailAddress(shown=shown, key=f"{local}@{encoded.casefold()}")


def find_email(text: str) -> EmailAddress | None:
    """The address in what was typed into a search, if it is one; also one whose ``+`` became a
    space on its way, as programs have it that don't encode it."""
    for typed in (text, text.strip().replace(" ", "+")) if "@" in text else ():
        with suppress(InvalidEmail):
            return parse_email(typed)
    return None


def _unwrap(text: str) -> str:
    """The address in ``Mara <mara@acme.example>;``, ``mailto:mara@acme.example`` and the like."""
    typed = _UNSEEN.sub("", text)
    if _FULL_WIDTH.search(typed):
        typed = unicodedata.normalize("NFKC", typed)
    typed = typed.strip().rstrip(";,. \t\r\n\u00a0")
    if named := _NAMED.fullmatch(typed):
        typed = named[named.lastgroup or 0].strip()
    if quoted := _QUOTED.fullmatch(typed):
        typed = quoted[2].strip()
    if link := _LINK.fullmatch(typed):
        typed = unquote(link[1])
    return "@".join(part.strip() for part in typed.strip("<>").split("@"))


def _domain_with_joiners(address: str) -> str | None:
    """The domain if joiners are part of it, as in Persian ones: the validator knows none. Raises
    UnicodeError where IDNA 2008 doesn't let them stand there (RFC 5892, A.1)."""
    domain = address.rpartition("@")[2]
    if _JOINERS.search(domain) or "xn--" in domain.lower():
        domain = idna.decode(domain, uts46=True)
    return domain if _JOINERS.search(domain) else None


def _is_local(address: str) -> bool:
    return bool(_LOCAL.fullmatch(address.rpartition("@")[2].lower()))


class InvalidEmail(Invalid):
    """Not an e-mail address."""

    code = "invalid_email"
    field = "email"
    message = "Enter an e-mail address, like mara@acme.example"
