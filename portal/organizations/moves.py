"""An organization's move in words for its members: what it changes, how far it is, the way back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from humanize import intcomma, naturaldelta

from portal.database.together import Part, Read, Stages, read
from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import Organization
from portal.jobs.progress import Station
from portal.organizations.moving.explaining import Progress, progress_of, told_to_members
from portal.organizations.moving.finding import reading_latest_move
from portal.organizations.places import Meaning, changes_between, in_words
from portal.web.counting import counted

MOST_FORMER_PLACES = 5


class Phase(StrEnum):
    """The part of a move's life that its page shows."""

    REQUESTED = "requested"
    UNDER_WAY = "under way"
    WAY_BACK = "way back"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class ShownMove:
    """A move as its page shows it. ``forward`` is the move itself where ``move`` is its way back;
    ``source`` and ``target`` are its places in words; ``waits_for`` is set where it doesn't get on.
    """

    move: Move
    forward: Move
    phase: Phase
    title: str
    lead: str
    source: str
    target: str
    waits_for: str | None
    progress: Progress
    stations: tuple[Station, ...]
    changes: tuple[Meaning, ...]

    @property
    def changes_by_itself(self) -> bool:
        """True where another look in a few seconds may show something else."""
        return self.phase in (Phase.UNDER_WAY, Phase.WAY_BACK)


@dataclass(frozen=True, slots=True)
class FormerPlace:
    """A place where the organization lived until a move."""

    words: str
    move: Move


@dataclass(frozen=True, slots=True)
class Residence:
    """A place where the organization lives or lived, ``since`` when, and the move by which it came
    there, if it wasn't born there."""

    words: str
    since: datetime
    move: Move | None


_USUAL = "Members and applications read and write as usual."
_WAITING = "Reads go on, and writes wait for it: none fails, none is lost."
_UNDER_WAY = {
    MoveState.COPYING: f"What is written meanwhile is copied again. {_USUAL}",
    MoveState.VERIFYING: f"Each document is read on both sides, byte for byte. {_USUAL}",
    MoveState.READY: f"The copy is equal, and is kept so. {_USUAL}",
    MoveState.FENCED: _WAITING,
    MoveState.SWITCHED: _WAITING,
    MoveState.ENDING: f"It was aborted: the documents are where they were. {_USUAL}",
}
_GOING_BACK = {
    MoveState.SHADOW: "The old copy follows every write. Going back takes the same pause, and "
    "loses nothing that was written since.",
    MoveState.FENCED: _WAITING,
    MoveState.SWITCHED: _WAITING,
    MoveState.ENDING: f"What is no longer needed is deleted. {_USUAL}",
}
_OVER = {
    Outcome.MOVED: ("Moved", "Its documents are at their new place."),
    Outcome.ABORTED: ("The move was aborted", "Its documents are where they were before."),
    Outcome.DECLINED: ("The request was declined", "Nothing was changed."),
    Outcome.WENT_BACK: ("It went back", "Its documents are at their old place again, with all that "
    "was written meanwhile."),
    Outcome.ENDED: ("The way back has ended", "The old copy is deleted."),
    Outcome.LOST: ("The way back was lost", "The old copy could not follow, so nobody can go back "
    "to it. A fresh move can: ask whoever runs this portal."),
    Outcome.GIVEN_UP: ("The move was given up", "A cluster that it needed is gone for ever."),
}  # fmt: skip


def shown_move(organization: Organization) -> ShownMove | None:
    """The organization's open move, or way back, or else its last one; ``None`` without any."""
    return read(reading_move(organization))


def reading_move(organization: Organization) -> Part[ShownMove | None]:
    """Reads the same."""
    move = yield from reading_latest_move(organization)
    if move is None:
        return None
    forward = move
    if move.way_back_of:
        [rows] = yield [Read(Move, [{"$match": {"_id": move.way_back_of}}])]
        forward = next(map(Move._from_son, rows), move)
    phase, progress = _phase_of(move), progress_of(move)
    title, lead = _words_of(move, phase, progress)
    return ShownMove(
        move=move,
        forward=forward,
        phase=phase,
        title=title,
        lead=lead,
        source=in_words(forward.source),
        target=in_words(forward.target),
        waits_for=told_to_members(move),
        progress=progress,
        stations=tuple(_stations(move, progress)) if phase == Phase.UNDER_WAY else (),
        changes=changes_between(forward.source, forward.target),
    )


def reading_former_places(organization: Organization) -> Part[Sequence[FormerPlace]]:
    """Reads the places where the organization lived, the last one first, MOST_FORMER_PLACES at
    most."""
    latest: Stages = [
        {"$match": {"organization": organization.id, "switched_at": {"$exists": True}}},
        {"$sort": {"switched_at": -1}},
        {"$limit": MOST_FORMER_PLACES},
    ]
    [rows] = yield [Read(Move, latest)]
    return [FormerPlace(in_words(move.source), move) for move in map(Move._from_son, rows)]


def residences_of(organization: Organization, former: Sequence[FormerPlace]) -> Sequence[Residence]:
    """The organization's place and its ``former`` ones, as they were read, the present first."""
    words = [in_words(organization.placement), *(place.words for place in former)]
    arrivals: list[Move | None] = [place.move for place in former]
    if len(former) < MOST_FORMER_PLACES:
        arrivals.append(None)
    return [
        Residence(words[number], move.switched_at if move else organization.created_at, move)
        for number, move in enumerate(arrivals)
    ]


def _phase_of(move: Move) -> Phase:
    if not move.open:
        return Phase.OVER
    if move.state == MoveState.REQUESTED:
        return Phase.REQUESTED
    return Phase.WAY_BACK if move.way_back_of else Phase.UNDER_WAY


def _words_of(move: Move, phase: Phase, progress: Progress) -> tuple[str, str]:
    """A title and a sentence."""
    if phase == Phase.OVER:
        return _OVER.get(move.outcome, _OVER[Outcome.ENDED])
    if phase == Phase.REQUESTED:
        return (
            f"Asked for: {in_words(move.target)}",
            "Whoever runs this portal decides. Until then nothing changes.",
        )
    if phase == Phase.WAY_BACK:
        return _way_back_title(move), _GOING_BACK[MoveState(move.state)]
    if move.outcome == Outcome.MOVED:
        return "Moved, clearing up", f"The old copy is deleted. {_USUAL}"
    lead = _UNDER_WAY[MoveState(move.state)]
    works = move.state in (MoveState.COPYING, MoveState.VERIFYING) and not move.paused
    pace = _pace(progress) if works else ""
    return _title_under_way(move, progress), f"{pace}{lead}"


def _way_back_title(move: Move) -> str:
    place = in_words(move.target)
    if move.state == MoveState.SHADOW and move.switch_wanted:
        return f"Going back to {place}"
    if move.state == MoveState.SHADOW:
        return f"The way back to {place} is open"
    if move.state == MoveState.ENDING:
        return "The way back is over"
    return f"Going back to {place} now"


def _title_under_way(move: Move, progress: Progress) -> str:
    about = f"of about {counted(progress.documents, 'document')}"
    if progress.copied > progress.documents:
        about = f"documents, there were {intcomma(progress.documents)} at first"
    titles = {
        MoveState.COPYING: f"Copying, {intcomma(progress.copied)} {about}",
        MoveState.VERIFYING: f"Comparing, {intcomma(move.progress.verified or 0)} {about}",
        MoveState.READY: "Ready to switch",
        MoveState.FENCED: "Switching now",
        MoveState.SWITCHED: "Switching now",
        MoveState.ENDING: "Clearing up",
    }
    title = titles[MoveState(move.state)]
    return f"{title}, paused" if move.paused else title


def _pace(progress: Progress) -> str:
    if not progress.rate:
        return ""
    left = f", about {naturaldelta(progress.seconds_left)} left" if progress.seconds_left else ""
    return f"{progress.rate:,.0f} a second{left}. "


def _stations(move: Move, progress: Progress) -> list[Station]:
    at = list(_STATIONS).index(_AT[MoveState(move.state)])
    return [
        Station(
            words,
            note,
            done=number < at,
            current=number == at,
            percent=_percent(move, progress) if number == at else None,
        )
        for number, (words, note) in enumerate(_STATIONS.items())
    ]


def _percent(move: Move, progress: Progress) -> int | None:
    return 100 if move.state == MoveState.READY else progress.percent


_STATIONS = {
    "Copy": "while everybody works",
    "Compare": "every document",
    "Ready": "kept equal until the switch",
    "Switch": "writes wait for a moment",
    "Way back": "for days",
}
_AT = {
    MoveState.COPYING: "Copy",
    MoveState.VERIFYING: "Compare",
    MoveState.READY: "Ready",
    MoveState.FENCED: "Switch",
    MoveState.SWITCHED: "Switch",
    MoveState.ENDING: "Way back",
}
