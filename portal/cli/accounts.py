"""``flask accounts``: help for people who can't get into their account."""

import click
from flask.cli import AppGroup

from portal.cli.running import CommandFailed, on_database
from portal.documents.accounts import Account
from portal.email_addresses import InvalidEmail, parse_email
from portal.identity.second_factors import enrollment
from portal.identity.second_factors.errors import NoSecondFactor
from portal.web.context import OPERATOR, RequestContext

accounts = AppGroup("accounts", help="Accounts whose owners can't get in.")


@accounts.command("reset-factors")
@click.argument("address")
@on_database
def reset_factors(address: str) -> None:
    """Remove all second factors of the account with this e-mail ADDRESS.

    Its password alone logs in from then on; all of its sessions and tokens end. The audit trail
    names the operator, and the person is told by mail. Make sure who asks you for it.
    """
    account = account_with(address)
    try:
        enrollment.reset(account.id, RequestContext(OPERATOR))
    except NoSecondFactor as error:
        raise CommandFailed(
            f"{account.email} has no second factor. Nothing was changed."
        ) from error
    click.echo(
        f"{account.email} logs in by the password alone. All of its sessions have ended, and it is "
        "told by mail."
    )


def account_with(address: str) -> Account:
    """The account with this e-mail address. Raises CommandFailed."""
    try:
        account = Account.objects(email_key=parse_email(address).key, closed_at=None).first()
    except InvalidEmail as error:
        raise CommandFailed(f"{address} is no e-mail address.") from error
    if account is None:
        raise CommandFailed(f"No account has the address {address}.")
    return account
