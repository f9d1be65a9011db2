"""What gunicorn serves, ``gunicorn wsgi:app`` (see gunicorn.conf.py), and what ``flask`` finds."""

from portal import cli, create_app, settings

app = create_app(cli.load_settings() if cli.is_running() else settings.load())
