"""What a file is, told from its first bytes."""

from dataclasses import dataclass

from portal.data.formats.options import ReadOptions

HEAD_BYTES = 256 * 1024
"""As much of a file's start as ``detect`` uses."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An encoding that the file may have, and up to three of its lines read in it.

    A character that nobody types stands as ``⟨80⟩``.
    """

    encoding: str
    label: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Detected:
    """What a file is.

    ``options`` is ``None`` for what can't be read, for the reason in ``refusal``. ``candidates``
    are the encodings to ask for, if the text is no UTF-8. ``dialects`` are the delimiters that fit
    equally well, to ask for; empty where one is plain. ``notes`` tell what was found, in words.
    """

    options: ReadOptions | None
    refusal: str | None = None
    kind: str = ""
    candidates: tuple[Candidate, ...] = ()
    dialects: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    is_dump: bool = False
    """A tar of a directory that mongodump made: ``list_members`` says what is in it."""
    typed: bool = False
    """The headings of a CSV file have types, so ``options.columns`` is complete."""
    notes: tuple[str, ...] = ()


def detect(head: bytes, name: str) -> Detected:
    """What a file of this name that begins with ``head`` is. Never guesses: what fits two ways is
    a candidate to choose from."""
    raise NotImplementedError


def candidates_of(lines: list[bytes]) -> tuple[Candidate, ...]:
    """The encodings that these lines, which are no UTF-8, may have."""
    raise NotImplementedError
