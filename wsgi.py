"""What gunicorn serves: ``gunicorn wsgi:app`` (see gunicorn.conf.py)."""

from portal import create_app
from portal.settings import load

app = create_app(load())
