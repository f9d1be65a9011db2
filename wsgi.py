"""The application for ``gunicorn wsgi:app`` (see gunicorn.conf.py) and for ``flask``."""

import gc

gc.disable()  # nothing is garbage yet: looking through it takes a fifth of the start

from portal import settings
from portal.app import create_app
from portal.cli import running

app = create_app(running.load_settings() if running.is_running() else settings.load())
gc.freeze()
gc.enable()
