"""``flask keys``: provisioning keys, and the portal's signing secrets."""

import click
from flask.cli import AppGroup

from portal import settings
from portal.cli.running import CommandFailed, on_database
from portal.display_names import InvalidName
from portal.identity.api_keys import credentials
from portal.identity.api_keys.errors import ApiKeyNotFound
from portal.settings import instance

keys = AppGroup("keys", help="Provisioning keys, and the portal's signing secrets.")


@keys.command("provision")
@click.argument("name")
@on_database
def create_provisioning_key(name: str) -> None:
    """Create a provisioning key named NAME and show it once.

    With it a program can sign up organizations by POST /org/create, set their plans and regions by
    PATCH /org/…/plan, their external ids and metadata by PATCH /org/…/external, and do nothing
    else.
    """
    try:
        click.echo(credentials.create_provisioning_key(name))
    except InvalidName as error:
        raise CommandFailed(f"{error.reason}.") from error


@keys.command("list")
@on_database
def list_provisioning_keys() -> None:
    """List the provisioning keys, without their secrets."""
    found = credentials.provisioning_keys()
    for key in found:
        used = f"last used {key.used_at:%Y-%m-%d %H:%M} UTC" if key.used_at else "never used"
        click.echo(f"{key.id}  created {key.created_at:%Y-%m-%d}  {used}  {key.name}")
    if not found:
        click.echo("There are no provisioning keys.")


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@on_database
def revoke_provisioning_key(key_id: str) -> None:
    """Revoke the provisioning key with this ID. What it created stays."""
    try:
        credentials.revoke_provisioning_key(key_id)
    except ApiKeyNotFound as error:
        raise CommandFailed("There is no key with this ID: flask keys list shows them.") from error
    click.echo("Revoked.")


@keys.command("rotate")
def rotate_secrets() -> None:
    """Generate a new JWT_SECRET and SECRET_KEY for a `make run` with a MongoDB of its own.

    They take effect when it is restarted. The old ones stay accepted for 30 days from then on, so
    nobody is logged out, and open forms and mailed links keep working.
    """
    active, running = settings.current(), instance.read_settings()
    runs_here = running is not None and running["MONGO_URI"] == active.mongo_uri
    if not runs_here or not instance.signs_by_own_secrets(active.jwt_secret, active.secret_key):
        raise CommandFailed(
            "The portal's secrets come from the environment or .env, so change them there: "
            "put the old ones into JWT_SECRET_FALLBACKS and SECRET_KEY_FALLBACKS, new ones into "
            "JWT_SECRET and SECRET_KEY, and restart the portal."
        )
    instance.rotate_secrets()
    click.echo(
        f"{instance.SECRETS} has new secrets. Restart the portal (Ctrl-C, then `make run`) to use "
        f"them. The old ones are accepted for {instance.FORMER_KEPT.days} days from then on."
    )
