"""Forms of one organization in the console."""

from wtforms import EmailField, HiddenField, StringField, TextAreaField

from portal.documents.organizations import Organization
from portal.organizations.forms import NameForm
from portal.organizations.lifecycle.errors import InvalidMetadata
from portal.web.forms import IdempotentForm


class PlannedNameForm(NameForm):
    """Renames or restores an organization, as planned."""

    plan = HiddenField(default="")


class PlannedForm(IdempotentForm):
    """Deletes or purges an organization as planned, confirmed by its name."""

    plan = HiddenField(default="")
    confirm_name = StringField("Type the name to confirm", default="")


class PlanForm(IdempotentForm):
    """Sets the plan and the region."""

    plan = StringField("Plan", default="")
    region = StringField("Region", default="")


class ExternalForm(IdempotentForm):
    """Sets what other systems know the organization by."""

    external_id = StringField("External id", default="")
    metadata = TextAreaField("Metadata", default="")
    seen = HiddenField(default="")

    def show(self, organization: Organization) -> None:
        """Fill in what is stored."""
        entries = [f"{name}: {value}" for name, value in (organization.metadata or {}).items()]
        self.external_id.data, self.metadata.data = organization.external_id, "\n".join(entries)
        self.seen.data = " ".join(organization.metadata or {})

    @property
    def entries(self) -> dict[str, str | None]:
        """The metadata by name, a line each; ``None`` for one that was shown and is gone from the
        form. Raises InvalidMetadata for a line without a name."""
        entries: dict[str, str | None] = dict.fromkeys((self.seen.data or "").split())
        for line in filter(str.strip, (self.metadata.data or "").splitlines()):
            name, separator, value = line.partition(":")
            if not separator or entries.get(name.strip()) is not None:
                raise InvalidMetadata("Write each entry once, on a line of its own: name: value")
            entries[name.strip()] = value.strip()
        return entries


class NoteForm(IdempotentForm):
    """Keeps a note."""

    text = TextAreaField("Note", default="")


class OwnerForm(IdempotentForm):
    """Makes somebody an owner."""

    email = EmailField("E-mail address", default="")
