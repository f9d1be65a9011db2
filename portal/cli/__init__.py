"""The services as commands: ``flask lifecycle run``, ``flask mail list``, ``flask audit verify``,
``flask keys``, ``flask doctor``.

A command needs the portal's settings. Beside a ``make run`` with a MongoDB of its own it takes
those that the supervisor left in ``instance/``.
"""

from flask import Flask

from portal.cli.audit import audit
from portal.cli.doctor import examine_installation
from portal.cli.keys import keys
from portal.cli.lifecycle import lifecycle
from portal.cli.mail import mail

COMMANDS = (lifecycle, mail, audit, keys, examine_installation)


def init_app(app: Flask) -> None:
    """Give ``flask`` the portal's commands."""
    for command in COMMANDS:
        app.cli.add_command(command)
