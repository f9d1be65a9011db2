"""``flask data``: organizations' documents."""

from flask.cli import AppGroup

data = AppGroup("data", help="Organizations' documents.")
