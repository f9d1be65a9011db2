"""Forms of one organization in the console."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from wtforms import EmailField, HiddenField, StringField, TextAreaField

from portal.documents.organizations import Organization
from portal.organizations.external import values_of
from portal.organizations.forms import NameForm
from portal.organizations.lifecycle.errors import ChangedMeanwhile, InvalidEntryLine
from portal.web.forms import IdempotentForm

Result = TypeVar("Result")


class PlannedNameForm(NameForm):
    """Renames or restores an organization, as planned."""

    plan = HiddenField(default="")


class PlannedForm(IdempotentForm):
    """Deletes or purges an organization as planned, confirmed by its name."""

    plan = HiddenField(default="")
    confirm_name = StringField("Type the name to confirm", default="")


class SeenForm(IdempotentForm):
    """A form that changes what somebody changed in it, and carries along what it showed: so it
    takes nothing back that others changed meanwhile."""

    seen = HiddenField(default="")

    def see(self, values: Mapping[str, str | None]) -> None:
        """Keep what is shown, by name."""
        self.seen.data = json.dumps(values)

    @property
    def seen_values(self) -> dict[str, str | None]:
        """The values that were shown, by name; none where that can't be told."""
        try:
            values = json.loads(self.seen.data or "")
        except (ValueError, RecursionError):
            return {}
        of_text = isinstance(values, dict) and all(
            isinstance(value, str | None) for value in values.values()
        )
        return values if of_text else {}

    def submit_seen(self, action: Callable[[Mapping[str, str | None]], Result]) -> Result | None:
        """Call ``action`` with what was shown, as ``submit`` does. A value that isn't that any more
        is told at its field, and was shown from then on."""
        try:
            return self.submit(lambda: action(self.seen_values))
        except ChangedMeanwhile as error:
            self[error.name.partition(".")[0]].errors = [error.words]
            self.status = error.status
            self.see({**self.seen_values, error.name: error.now})
            return None


class PlanForm(SeenForm):
    """Sets the plan and the region."""

    plan = StringField("Plan", default="")
    region = StringField("Region", default="")

    def show(self, organization: Organization) -> None:
        """Fill in what is stored."""
        self.plan.data, self.region.data = organization.plan, organization.region
        self.see({"plan": organization.plan, "region": organization.region})

    @property
    def changes(self) -> dict[str, str | None]:
        """The values that were changed, by name."""
        seen = self.seen_values
        names = ("plan", "region")
        typed = {name: (self[name].data or "").strip() or None for name in names}
        return _changed(typed, {name: seen[name] for name in names if name in seen})


class ExternalForm(SeenForm):
    """Sets what other systems know the organization by."""

    external_id = StringField("External id", default="")
    metadata = TextAreaField("Metadata", default="")

    def show(self, organization: Organization) -> None:
        """Fill in what is stored."""
        entries = [f"{name}: {value}" for name, value in (organization.metadata or {}).items()]
        self.external_id.data, self.metadata.data = organization.external_id, "\n".join(entries)
        self.see(values_of(organization))

    @property
    def changes(self) -> dict[str, Any]:
        """The changes, as ``set_external`` takes them: of the metadata the entries, with
        ``None`` for one that was shown and is gone. Raises InvalidEntryLine for a line without a
        name."""
        seen = self.seen_values
        typed: dict[str, str | None] = {"external_id": self.external_id.data or None}
        for line in filter(str.strip, (self.metadata.data or "").splitlines()):
            name, separator, value = line.partition(":")
            if not separator or _entry(name) in typed:
                raise InvalidEntryLine
            typed[_entry(name)] = value.strip()
        changed = _changed(typed, seen)
        external_id = (
            {"external_id": changed.pop("external_id")} if "external_id" in changed else {}
        )
        entries = {name.removeprefix(_METADATA): value for name, value in changed.items()}
        return {**external_id, "metadata": entries}


def _changed(
    typed: Mapping[str, str | None], seen: Mapping[str, str | None]
) -> dict[str, str | None]:
    return {
        name: typed.get(name)
        for name in (*typed, *seen)
        if name not in seen or typed.get(name) != seen[name]
    }


_METADATA = "metadata."


def _entry(name: str) -> str:
    return _METADATA + name.strip()


class NoteForm(IdempotentForm):
    """Keeps a note."""

    text = TextAreaField("Note", default="")


class OwnerForm(IdempotentForm):
    """Makes somebody an owner."""

    email = EmailField("E-mail address", default="")
