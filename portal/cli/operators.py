"""``flask operators``: who gets into the operators' console, and its keys."""

from datetime import datetime

import click
from bson import ObjectId
from flask.cli import AppGroup

from portal.cli.accounts import account_with
from portal.cli.running import on_database, refusals
from portal.cli.tables import json_option, print_json, print_table
from portal.documents.accounts import OperatorRole
from portal.documents.api_keys import OPERATOR_KEY_ROLES
from portal.operators import entering, keys, roles
from portal.web.context import OPERATOR, RequestContext

operators = AppGroup("operators", help="The people and programs that get into the console.")

_CONTEXT = RequestContext(OPERATOR)


@operators.command("create")
@click.argument("address")
@click.option(
    "--role",
    type=click.Choice([role.value for role in OperatorRole]),
    default=OperatorRole.ADMIN.value,
    show_default=True,
    help="What they may do.",
)
@json_option
@on_database
def create(address: str, role: str, as_json: bool) -> None:
    """Make whoever has this e-mail ADDRESS an operator.

    An account with it has the role at once. Where there is none, print a link that works once, for
    24 hours: whoever follows it chooses the password of that account, and adds a second factor.
    """
    with refusals():
        added = entering.create_operator(address, OperatorRole(role), _CONTEXT)
    if as_json:
        account_id = added.account.id if added.account else None
        print_json({"email": added.email, "account_id": account_id, "link": added.link})
    elif added.link:
        click.echo(f"{added.email} has no account yet. They follow this link, within 24 hours:")
        click.echo(added.link)
    else:
        click.echo(f"{added.email} is {role} from their next request on.")


@operators.command("list")
@json_option
@on_database
def list_all(as_json: bool) -> None:
    """List everybody with a role in the console."""
    found = roles.list_operators()
    if as_json:
        print_json(found)
    elif found:
        rows = [
            (one.email, one.role, "set up" if one.has_second_factor else "none yet")
            for one in found
        ]
        print_table(("OPERATOR", "ROLE", "SECOND FACTOR"), rows)
    else:
        click.echo("There are no operators: flask operators create ADDRESS makes one.")


@operators.command("set-role")
@click.argument("address")
@click.argument("role", type=click.Choice([role.value for role in OperatorRole]))
@json_option
@on_database
def set_role(address: str, role: str, as_json: bool) -> None:
    """Give the operator with this e-mail ADDRESS another ROLE."""
    with refusals():
        account = roles.set_role(account_with(address).id, OperatorRole(role), _CONTEXT)
    _tell(account.id, account.email, role, as_json)


@operators.command("remove")
@click.argument("address")
@json_option
@on_database
def remove(address: str, as_json: bool) -> None:
    """Take the role of the operator with this e-mail ADDRESS away. The account stays."""
    with refusals():
        account = roles.remove_operator(account_with(address).id, _CONTEXT)
    _tell(account.id, account.email, None, as_json)


@operators.command("create-key")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in OPERATOR_KEY_ROLES]),
    default=OperatorRole.SUPPORT.value,
    show_default=True,
    help="What programs may do by it.",
)
@click.option(
    "--until",
    "expires_on",
    type=click.DateTime(["%Y-%m-%d"]),
    required=True,
    help="Its last day (UTC), a year away at most.",
)
@json_option
@on_database
def create_key(name: str, role: str, expires_on: datetime, as_json: bool) -> None:
    """Make an operators' key named NAME, by which a program acts in the console, and show it
    once."""
    with refusals():
        made = keys.create_key(name, role, expires_on.date(), _CONTEXT)
    if as_json:
        print_json({"id": made.id, "secret": made.credential})
    else:
        click.echo(made.credential)


@operators.command("list-keys")
@json_option
@on_database
def list_keys(as_json: bool) -> None:
    """List the operators' keys, without their secrets."""
    found = keys.list_keys()
    if as_json:
        print_json(found)
    elif found:
        rows = [
            (key.id, key.name, key.role, "expired" if key.expired else key.expires_on)
            for key in found
        ]
        print_table(("ID", "KEY", "ROLE", "LAST DAY"), rows)
    else:
        click.echo("There are no operators’ keys.")


@operators.command("revoke-key")
@click.argument("key_id", metavar="ID")
@json_option
@on_database
def revoke_key(key_id: str, as_json: bool) -> None:
    """Revoke the operators' key with this ID."""
    with refusals():
        key = keys.revoke_key(key_id, _CONTEXT)
    if as_json:
        print_json({"id": key.id, "name": key.name})
    else:
        click.echo(f"“{key.name}” is revoked: what comes by it is refused.")


def _tell(account_id: ObjectId, email: str, role: str | None, as_json: bool) -> None:
    if as_json:
        print_json({"account_id": account_id, "email": email, "role": role})
    else:
        told = f"is {role} from now on" if role else "is no operator any more"
        click.echo(f"{email} {told}.")
