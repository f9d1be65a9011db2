"""Passwords: rules, strength, and hashes."""

import os
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import regex
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from zxcvbn_rs_py import zxcvbn

from portal import settings
from portal.identity.authentication.errors import WeakPassword
from portal.web.errors import Overloaded

LONGEST = 128
# NFC shortens a text to a fourth at most, and takes seconds for 30,000 marks on one letter.
_LONGEST_TYPED = 4 * LONGEST
# zxcvbn takes seconds for long passwords of many special characters (72 of them: 7 s), so only
# the ends are estimated: the whole is as hard to guess as its hardest part.
_ESTIMATED = 20
_WAIT_SECONDS = 3
_WORDS = ("Very weak", "Very weak", "Weak", "Good", "Strong")
# Beside control characters, the replacement of undecodable bytes in a form.
_UNTYPABLE = regex.compile(r"[\p{Cc}\p{Cs}\p{Co}\p{Cn}\ufffd]")
# Those newer than Python's Unicode are typed, too; NFC leaves emoji as they are.
_EMOJI = regex.compile(r"\p{Emoji}")

# OWASP's password storage cheat sheet: argon2id, m = 19 MiB, t = 2, p = 1; 30 ms of one core.
_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Strength:
    """The strength of a password: zxcvbn's score (0 to 4), that in words, and advice."""

    score: int
    words: str
    advice: str

    @property
    def enough(self) -> bool:
        """Tell whether PASSWORD_MIN_SCORE is reached."""
        return self.score >= settings.current().password_min_score


def strength(password: str, *personal: str) -> Strength:
    """Estimate how hard ``password`` is to guess for an attacker who knows the ``personal``
    words."""
    if not password:
        return Strength(0, _WORDS[0], "")
    known = [word for text in personal for word in (text, *text.replace("@", " ").split()) if word]
    ends = {password[:_ESTIMATED], password[-_ESTIMATED:]}
    result = max((zxcvbn(end, known) for end in ends), key=lambda found: int(found.score))
    score, feedback = int(result.score), result.feedback
    told = [feedback.warning or next(iter(feedback.suggestions), "")] if feedback else []
    return Strength(score, _WORDS[score], "".join(map(str, told)).rstrip("."))


def shortest() -> int:
    """The least number of characters of a password: PASSWORD_MIN_LENGTH."""
    return settings.current().password_min_length


def check_password(password: str, *personal: str) -> None:
    """Raise WeakPassword unless ``password`` may be chosen: of PASSWORD_MIN_LENGTH to 128
    characters, and as hard to guess as PASSWORD_MIN_SCORE asks for."""
    if len(password) > _LONGEST_TYPED:
        raise WeakPassword.too_long(LONGEST)
    if len(normalize(password)) < shortest():
        raise WeakPassword.too_short(shortest())
    if len(normalize(password)) > LONGEST:
        raise WeakPassword.too_long(LONGEST)
    if _UNTYPABLE.search(password) or any(_is_unknown(character) for character in password):
        raise WeakPassword.untypable()
    estimated = strength(password, *personal)
    if not estimated.enough:
        least = settings.current().password_min_score
        raise WeakPassword.easy_to_guess(estimated.score, least, estimated.advice)


def _is_unknown(character: str) -> bool:
    """Tell whether this Python's NFC doesn't know the character, and a later one may change it."""
    return unicodedata.category(character) == "Cn" and not _EMOJI.match(character)


def normalize(password: str) -> str:
    """NFC: one password whether a keyboard composes its accents or not."""
    return unicodedata.normalize("NFC", password)


def hash_password(password: str) -> str:
    """An argon2id hash. Raises Overloaded where too many hashes are running."""
    return _limited(_turns(), lambda: _hasher.hash(normalize(password)))


def verify_password(password: str, password_hash: str | None) -> bool:
    """Tell whether ``password_hash`` is of ``password``; takes as long without a hash. Raises
    Overloaded where too many hashes are running."""
    if len(password) > _LONGEST_TYPED or len(normalize(password)) > LONGEST:
        return False  # no account has one that long
    return _limited(_turns(), lambda: _matches(password, password_hash or _dummy_hash()))


def needs_rehash(password_hash: str) -> bool:
    """Tell whether ``password_hash`` has other parameters than the current ones."""
    return _hasher.check_needs_rehash(password_hash)


def _matches(password: str, password_hash: str) -> bool:
    try:
        return _hasher.verify(password_hash, normalize(password))
    except VerifyMismatchError:
        return False


@cache
def _dummy_hash() -> str:
    return _hasher.hash(os.urandom(16).hex())


@cache
def _turns() -> threading.BoundedSemaphore:
    """Limits concurrent hashes to the number of cores, over all workers of the portal."""
    return threading.BoundedSemaphore(
        max(1, (os.cpu_count() or 1) // settings.current().web_concurrency)  # settings cap workers
    )


def _limited(turns: threading.Semaphore, work: Callable[[], Result]) -> Result:
    if not turns.acquire(timeout=_WAIT_SECONDS):
        raise Overloaded
    try:
        return work()
    finally:
        turns.release()
