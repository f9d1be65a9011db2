"""Errors of scripts for tenants, and their words."""

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
