"""``flask people``: the accounts of the installation, for operators on its machine."""

import click
from flask.cli import AppGroup

from portal.cli.accounts import account_with
from portal.cli.running import on_database, plain, refusals
from portal.cli.tables import json_option, print_json, print_table
from portal.documents.accounts import Account
from portal.identity.sessions import sessions
from portal.operators.people import changing
from portal.operators.people.finding import find_people
from portal.operators.people.reading import Person, person_of
from portal.web.context import OPERATOR, RequestContext
from portal.web.counting import counted

people = AppGroup("people", help="The accounts of the installation.")

_CONTEXT = RequestContext(OPERATOR)


@people.command("search")
@click.argument("text", default="")
@click.option("--blocked", is_flag=True, help="Only those who are blocked.")
@click.option("--after", help="Go on after that of the page before (--json has it).")
@json_option
@on_database
def search(text: str, blocked: bool, after: str | None, as_json: bool) -> None:
    """Find people by the beginning of their address, by @ and a domain, or by an id: TEXT.

    50 at a time; without TEXT the newest.
    """
    found = find_people(text, blocked=blocked, after=after)
    if as_json:
        print_json({"people": found.page.rows, "way": found.way, "after": found.page.after})
        return
    rows = [
        (one.id, one.email, one.organizations, "blocked" if one.blocked else "")
        for one in found.page.rows
    ]
    if not rows:
        click.echo("Nobody was found.")
        return
    print_table(("ID", "ADDRESS", "ORGANIZATIONS", ""), rows)
    if found.page.after is not None:
        click.echo(f"There are more: --after {plain(str(found.page.after))}")


@people.command("show")
@click.argument("address")
@json_option
@on_database
def show(address: str, as_json: bool) -> None:
    """Show the account with this e-mail ADDRESS: its organizations and sessions."""
    person = person_of(account_with(address))
    if as_json:
        print_json(_as_json(person))
        return
    account = person.account
    click.echo(plain(f"{account.email}  {account.id}"))
    click.echo(f"Made {account.created_at:%Y-%m-%d %H:%M} UTC. Sessions: {len(person.sessions)}.")
    if account.blocked_at:
        click.echo(
            plain(f"Blocked {account.blocked_at:%Y-%m-%d %H:%M} UTC: {account.blocked_reason}")
        )
    if account.factors_reset_at:
        click.echo(f"Second factors are reset {account.factors_reset_at:%Y-%m-%d %H:%M} UTC.")
    if person.solely_owned:
        owned = ", ".join(person.solely_owned)
        click.echo(plain(f"Nobody else who can log in owns: {owned}."))
    if person.organizations:
        rows = [(one.id, one.name, one.slug, one.state, one.role) for one in person.organizations]
        print_table(("ID", "ORGANIZATION", "SLUG", "STATE", "ROLE"), rows)


@people.command("end-sessions")
@click.argument("address", required=False)
@click.option("--all", "of_all", is_flag=True, help="Those of all accounts, as after a restore.")
@json_option
@on_database
def end_sessions(address: str | None, of_all: bool, as_json: bool) -> None:
    """End all sessions and tokens of the account with this e-mail ADDRESS, or of all accounts."""
    if of_all == bool(address):
        raise click.UsageError("Name one ADDRESS, or --all.")
    if not address:
        number = sessions.revoke_of_all_accounts(_CONTEXT)
        if as_json:
            print_json({"sessions": number})
        else:
            click.echo(f"{counted(number, 'session')} ended.")
        return
    account = account_with(address)
    with refusals():
        number = changing.end_sessions(account.id, _CONTEXT)
    _tell(account, f"{number} sessions have ended.", as_json)


@people.command("reset-factors")
@click.argument("address")
@json_option
@on_database
def reset_factors(address: str, as_json: bool) -> None:
    """Reset the second factors of the account with this e-mail ADDRESS in 24 hours.

    The person is told by mail, and can stop it. `flask accounts reset-factors` does it at once.
    """
    account = account_with(address)
    with refusals():
        changing.request_reset(account.id, _CONTEXT)
    _tell(account, "They are reset in 24 hours, unless the person stops it.", as_json)


@people.command("keep-factors")
@click.argument("address")
@json_option
@on_database
def keep_factors(address: str, as_json: bool) -> None:
    """Stop the reset of the second factors of the account with this e-mail ADDRESS."""
    account = account_with(address)
    with refusals():
        changing.stop_reset(account.id, _CONTEXT)
    _tell(account, "The second factors stay.", as_json)


@people.command("block")
@click.argument("address")
@click.option("--reason", required=True, help="Why; for operators.")
@json_option
@on_database
def block(address: str, reason: str, as_json: bool) -> None:
    """Block the account with this e-mail ADDRESS: sessions end, and nobody logs in to it."""
    account = account_with(address)
    with refusals():
        changing.block(account.id, reason, _CONTEXT)
    _tell(account, "It is blocked, and the person told by mail.", as_json)


@people.command("unblock")
@click.argument("address")
@json_option
@on_database
def unblock(address: str, as_json: bool) -> None:
    """Let the blocked account with this e-mail ADDRESS log in again."""
    account = account_with(address)
    with refusals():
        changing.unblock(account.id, _CONTEXT)
    _tell(account, "It can log in.", as_json)


def _tell(account: Account, words: str, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(person_of(account.reload())))
    else:
        click.echo(words)


def _as_json(person: Person) -> dict[str, object]:
    account = person.account
    return {
        "id": account.id,
        "email": account.email,
        "name": person.name,
        "created_at": account.created_at,
        "verified": account.verified,
        "operator_role": account.operator_role,
        "blocked_at": account.blocked_at,
        "blocked_reason": account.blocked_reason,
        "factors_reset_at": account.factors_reset_at,
        "has_second_factor": account.has_second_factor,
        "organization_count": person.organization_count,
        "organizations": person.organizations,
        "solely_owned": person.solely_owned,
        "sessions": person.sessions,
    }
