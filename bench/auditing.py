"""The cost of an audit event to the change that it records."""

from unittest.mock import patch

from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import interleaved_medians, seconds_of, timed
from portal.organizations.lifecycle import renaming
from tests.factories import a_context, an_organization


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """The change of a display name, with its event and without."""
    organization = an_organization("Audit")

    def change() -> None:
        nonlocal organization
        name = organization.name.swapcase()  # the slug, and so the collection, stays
        organization = renaming.rename_organization(organization, name, a_context())

    def change_without_event(n: int) -> float:
        with patch.object(renaming, "record", lambda *_, **__: None):
            return seconds_of(change)

    without, recorded = interleaved_medians(
        3 * scale.rounds, change_without_event, timed(lambda n: change())
    )
    return [
        Figure.in_ms("change of a display name, no event", without),
        Figure.in_ms("change of a display name", recorded, without, "no event"),
    ]
