"""Passwords: rules, strength in words, and hashes."""

import os
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from zxcvbn import zxcvbn

from portal import settings
from portal.identity.authentication.errors import WeakPassword
from portal.web.errors import Overloaded

SHORTEST, LONGEST = 12, 128
LEAST_SCORE = 3
# NFC shortens a text to a fourth at most, and takes seconds for 30,000 marks on one letter.
_LONGEST_TYPED = 4 * LONGEST
# zxcvbn takes seconds for long passwords of many special characters (72 of them: 7 s), so only
# the ends are looked at: the whole is as hard to guess as its hardest part.
_ESTIMATED = 20
_WAIT_SECONDS = 3
_WORDS = ("Very weak", "Very weak", "Weak", "Good", "Strong")
_UNTYPABLE = ("Cc", "Cs", "Co", "Cn")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # what undecodable bytes of a form turn into

# OWASP's password storage cheat sheet: argon2id, m = 19 MiB, t = 2, p = 1; 30 ms of one core.
_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
# zxcvbn keeps the personal words in a variable of its module, which threads would share.
_estimating = threading.BoundedSemaphore(1)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Strength:
    """How hard a password is to guess: zxcvbn's score (0 to 4), in words, and what would help."""

    score: int
    words: str
    advice: str

    @property
    def enough(self) -> bool:
        return self.score >= LEAST_SCORE


def strength(password: str, *personal: str) -> Strength:
    """Estimate how hard ``password`` is to guess for somebody who knows the ``personal`` words.

    Raises Overloaded where too many estimates are being made.
    """
    if not password:
        return Strength(0, _WORDS[0], "")
    known = [word for text in personal for word in (text, *text.replace("@", " ").split()) if word]
    ends = {password[:_ESTIMATED], password[-_ESTIMATED:]}
    results = _in_turn(_estimating, lambda: [zxcvbn(end, user_inputs=known) for end in ends])
    result = max(results, key=lambda estimate: estimate["score"])
    feedback = result["feedback"]
    advice = feedback["warning"] or " ".join(feedback["suggestions"][:1])
    return Strength(result["score"], _WORDS[result["score"]], advice.rstrip("."))


def check_password(password: str, *personal: str) -> None:
    """Raise WeakPassword unless ``password`` may be chosen: 12 to 128 characters, hard to guess."""
    if len(password) > _LONGEST_TYPED:
        raise WeakPassword(f"Choose a shorter password: {LONGEST} characters at most")
    if len(normalized(password)) < SHORTEST:
        raise WeakPassword(f"Choose a longer password: {SHORTEST} characters or more")
    if len(normalized(password)) > LONGEST:
        raise WeakPassword(f"Choose a shorter password: {LONGEST} characters at most")
    if _REPLACEMENT in password or any(unicodedata.category(c) in _UNTYPABLE for c in password):
        raise WeakPassword("Choose a password without control characters")
    found = strength(password, *personal)
    if not found.enough:
        advice = f": {found.advice[0].lower()}{found.advice[1:]}" if found.advice else ""
        raise WeakPassword(f"Choose a password that is harder to guess{advice}")


def normalized(password: str) -> str:
    """NFC: one password whether a keyboard composes its accents or not."""
    return unicodedata.normalize("NFC", password)


def hash_password(password: str) -> str:
    """An argon2id hash. Raises Overloaded where too many hashes are being made."""
    return _in_turn(_turns(), lambda: _hasher.hash(normalized(password)))


def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether ``password`` made ``password_hash``; takes as long where there is no hash.

    Raises Overloaded where too many hashes are being made.
    """
    if len(password) > _LONGEST_TYPED or len(normalized(password)) > LONGEST:
        return False  # none that long was ever chosen, whoever's it is
    return _in_turn(_turns(), lambda: _matches(password, password_hash or _hash_of_nobody()))


def needs_rehash(password_hash: str) -> bool:
    """Whether ``password_hash`` was made with other parameters than today's."""
    return _hasher.check_needs_rehash(password_hash)


def _matches(password: str, password_hash: str) -> bool:
    try:
        return _hasher.verify(password_hash, normalized(password))
    except VerifyMismatchError:
        return False


@cache
def _hash_of_nobody() -> str:
    return _hasher.hash(os.urandom(16).hex())


@cache
def _turns() -> threading.BoundedSemaphore:
    """At most as many hashes at once as there are cores, over all workers of the portal."""
    return threading.BoundedSemaphore(
        max(1, (os.cpu_count() or 1) // settings.current().web_concurrency)  # settings cap workers
    )


def _in_turn(turns: threading.Semaphore, work: Callable[[], Result]) -> Result:
    if not turns.acquire(timeout=_WAIT_SECONDS):
        raise Overloaded
    try:
        return work()
    finally:
        turns.release()
