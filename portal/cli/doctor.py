"""``flask doctor``: finds and repairs damage to the installation."""

import sys

import click
from flask.cli import with_appcontext

from portal.cli.running import on_database
from portal.doctor import report
from portal.doctor.examination import CHECKS, examine


@click.command("doctor")
@click.option("--repair", is_flag=True, help="Repair what is safe to repair. Nothing is dropped.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line and finding.")
@with_appcontext
@on_database
def examine_installation(repair: bool, as_json: bool) -> None:
    """Compare master data with the tenant collections.

    Exit status: 0 all well, 1 something remains to be repaired, 2 the examination failed.
    """
    write = report.write_json if as_json else report.write_text
    remain = write(examine(check, repair=repair) for check in CHECKS)
    sys.exit(1 if remain else 0)
