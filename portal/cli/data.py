"""``flask data``: organizations' documents."""

from flask.cli import AppGroup

from portal.cli import data_masks

data = AppGroup("data", help="Organizations' documents.")

for command in data_masks.COMMANDS:
    data.add_command(command)
