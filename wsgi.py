"""What gunicorn serves, ``gunicorn wsgi:app`` (see gunicorn.conf.py), and what ``flask`` finds."""

from portal import create_app, settings
from portal.cli import running

app = create_app(running.load_settings() if running.is_running() else settings.load())
