"""The services as commands: ``flask lifecycle run``, ``flask mail list``, ``flask audit verify``,
``flask keys``, ``flask accounts``, ``flask operators``, ``flask people``, ``flask overview``,
``flask organizations``, ``flask bulk``, ``flask listing``, ``flask restrictions``,
``flask holds``, ``flask usage``, ``flask limits``, ``flask support``, ``flask placements``,
``flask applications``, ``flask clusters``, ``flask moves``, ``flask tenants apply``,
``flask data``, ``flask jobs``, ``flask migrate status``, ``flask doctor``.

Commands need the portal's settings. Beside a ``make run`` with a MongoDB of its own they use
those that the supervisor stored in ``instance/``.
"""

from flask import Flask

from portal.cli.accounts import accounts
from portal.cli.applications import applications
from portal.cli.audit import audit
from portal.cli.bulk import bulk
from portal.cli.clusters import clusters
from portal.cli.data import data
from portal.cli.doctor import examine_installation
from portal.cli.jobs import jobs
from portal.cli.keys import keys
from portal.cli.lifecycle import lifecycle
from portal.cli.listing import listing
from portal.cli.mail import mail
from portal.cli.migrate import migrate
from portal.cli.moves import moves
from portal.cli.operators import operators
from portal.cli.organizations import organizations
from portal.cli.overview import overview
from portal.cli.people import people
from portal.cli.placements import placements
from portal.cli.restrictions import holds, restrictions
from portal.cli.support import support
from portal.cli.tenants import tenants
from portal.cli.usage import limits, usage

COMMANDS = (
    overview,
    lifecycle,
    mail,
    audit,
    keys,
    accounts,
    operators,
    people,
    organizations,
    bulk,
    listing,
    placements,
    applications,
    clusters,
    moves,
    support,
    usage,
    limits,
    restrictions,
    holds,
    tenants,
    data,
    jobs,
    migrate,
    examine_installation,
)


def init_app(app: Flask) -> None:
    """Register the commands with ``flask``."""
    for command in COMMANDS:
        app.cli.add_command(command)
