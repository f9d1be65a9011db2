"""Background work of a worker: started after the fork, ended with it."""

from flask import Flask

from portal import __version__
from portal.app.parts import BACKGROUND, PERIODIC_TASKS
from portal.database import periodic
from portal.database.heartbeats import Heart
from portal.mail import sender
from portal.organizations.usage import metering
from portal.web import traffic

_heart = Heart(__version__, traffic.take)


def start_background(app: Flask) -> None:
    """Start the threads of this worker; call it after the fork."""
    for start in BACKGROUND:
        start()
    sender.start(app)
    periodic.start(PERIODIC_TASKS)
    _heart.start()


def end_background() -> None:
    """Leave the mail that this worker was sending to the others, report what it counted, and say
    that it ends."""
    sender.stop()
    metering.stop()
    _heart.end()
