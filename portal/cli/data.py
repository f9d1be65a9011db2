"""``flask data``: organizations' documents."""

from flask.cli import AppGroup

from portal.cli import (
    data_history,
    data_masks,
    data_reading,
    data_structure,
    data_transfer,
    data_writing,
)

data = AppGroup("data", help="Organizations' documents.")
for command in (
    *data_reading.COMMANDS,
    *data_writing.COMMANDS,
    *data_masks.COMMANDS,
    *data_structure.COMMANDS,
    *data_history.COMMANDS,
    *data_transfer.COMMANDS,
):
    data.add_command(command)
