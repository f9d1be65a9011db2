"""Errors of scripts for tenants, and their words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from portal.errors import Conflict, Invalid, NotFound


@dataclass
class InvalidScript(Invalid):
    """The file is no script that can be applied."""

    path: str
    reason: str

    code = "invalid_script"
    message = "{path} can't be applied: {reason}"


@dataclass
class ScriptMisnamed(InvalidScript):
    """The file has a name that no script may have."""

    reason: str = "its name has letters, digits, _ and - only, 100 at most"


@dataclass
class NoApply(InvalidScript):
    """The script has no function to apply."""

    reason: str = "it has no function apply(tenant)"


class InvalidSeconds(InvalidScript):
    """The time that the script asks for is none, or too long."""

    def __init__(self, path: str, longest: int) -> None:
        super().__init__(path, f"SECONDS is a number up to {longest}")


class NotPlainFunction(InvalidScript):
    """A function of the script can't be called, or is asynchronous."""

    def __init__(self, path: str, name: str) -> None:
        super().__init__(path, f"{name} is a plain function, not an asynchronous one")


class YieldingFunction(InvalidScript):
    """A function of the script is a generator."""

    def __init__(self, path: str, name: str) -> None:
        super().__init__(path, f"{name} has a yield in it, so calling it would do nothing")


class WrongArguments(InvalidScript):
    """A function of the script takes other arguments."""

    def __init__(self, path: str, name: str) -> None:
        super().__init__(path, f"{name} takes one argument, the tenant")


@dataclass
class ScriptEdited(Conflict):
    """The script was edited since it was applied to some organizations."""

    name: str
    done: str
    before: str
    after: str

    code = "script_edited"
    message = (
        "{name} was edited since it was applied to {done} (sha256 {before}, now "
        "{after}). Give the change a file of its own. If those need nothing of it, --edited goes "
        "on with the others."
    )


@dataclass
class ScriptRuns(Conflict):
    """A job of the script is open, with other content or for other organizations."""

    name: str
    job: Any
    difference: str

    code = "script_runs"
    message = (
        "Job {job.id} applies {name} already, {difference}. Call it with the same, or end that one "
        "by flask jobs cancel {job.id}."
    )


@dataclass
class OtherContentRuns(ScriptRuns):
    """The open job applies the script as it was before it was edited."""

    difference: str = "with other content"


@dataclass
class OtherSelectionRuns(ScriptRuns):
    """The open job is for other organizations."""

    difference: str = "for other organizations"


@dataclass
class JobPaused(Conflict):
    """The job of the script is paused."""

    job: Any

    code = "job_paused"
    message = "Job {job.id} is paused. To go on: flask jobs resume {job.id}, then this again."


@dataclass
class UnknownOrganizations(NotFound):
    """No organization has some of the names."""

    names: str

    code = "unknown_organizations"
    message = "There is no organization {names}. Nothing was applied."


@dataclass
class InvalidValidator(Invalid):
    """The validator isn't one that may be set."""

    reason: str

    code = "invalid_validator"
    message = "The validator can't be set: {reason}"


class UnknownEnforcement(InvalidValidator):
    """A level or an action that validators don't have."""

    def __init__(self, levels: Sequence[str], actions: Sequence[str]) -> None:
        super().__init__(f"the level is one of {levels}, the action one of {actions}")


class ValidatorTooLarge(InvalidValidator):
    """The validator has too many bytes."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"it has more than {most_bytes:,} bytes")
