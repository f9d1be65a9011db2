"""Makes ``fed5813.bson.gz``: data as the portal of commit fed5813 left it, with an operation of
each kind unfinished, once before its first step and once before its last.

It drives that version itself, so it runs in a checkout of it, by any environment that has the
portal's requirements:

    git worktree add /a/folder fed5813
    cd /a/folder
    PYTHONPATH=. python <here>/make_fed5813.py <here>/fed5813.bson.gz

The file is a series of BSON documents: first one with the secrets, and what people and programs
hold; then each collection, followed by its documents. Sessions and tokens last for a century.
"""

import gzip
import secrets
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import bson
from portal.accounts import closing, sessions
from portal.accounts.documents import Account
from portal.keys import provisioning
from portal.members import invitations
from pymongo.errors import ConnectionFailure

from portal import build, clock, create_app, database, mongod
from portal.database import tenant_database
from portal.organizations import (
    lifecycle,
    pending,
    purging,
    renaming,
    restoring,
    trashing,
)
from portal.settings import Settings
from tests import factories
from tests.visitor import PASSWORD, Visitor

MASTER, TENANT = "master_test", "tenant_test"
SECRETS = {"jwt_secret": "fed5813 " * 5, "secret_key": "3185def " * 5}


def made_by_hand(app):
    """Everything that isn't an operation; what people and programs hold."""
    visitor, program = Visitor(app), app.test_client()
    visitor.sign_up("Acme Corp", "mara@acme.example")
    factories.verify("mara@acme.example")
    mara = Account.objects.get(email="mara@acme.example")
    acme = mara_organization(mara)
    renaming.rename_organization(acme, "Acme & Sons", factories.origin(mara))
    teo = factories.a_member(factories.fresh(acme), "admin", "teo@acme.example")
    authenticator, codes = factories.an_app(teo)
    factories.a_passkey(mara)
    access = factories.an_access(factories.fresh(acme))
    invitations.invite(access, "ann@acme.example", "viewer", factories.origin(mara))
    pending.ask_for_sign_up("Late Ltd", "late@acme.example", PASSWORD, factories.origin())
    gone = factories.an_account("gone@acme.example")
    closing.close_account(gone.id, gone.email, PASSWORD, factories.origin(gone))
    log_in = {"email": mara.email, "password": PASSWORD}
    bearer = program.post("/admin/login", json=log_in).get_json()
    for name, change in (
        ("Trashed", trashing.trash_organization),
        ("Purged", purging.purge_organization),
    ):
        organization = an_organization(name)
        change(organization, name, factories.origin(mara))
    return {
        "cookies": {c.key: c.value for c in visitor.client._cookies.values()},
        "bearer": bearer["token"],
        "api_key": factories.a_key(factories.fresh(acme)),
        "provisioning_key": provisioning.make_provisioning_key("Shop"),
        "totp": authenticator.secret,
        "recovery_code": codes[0],
    }


def mara_organization(mara):
    return factories.Organization.objects.get(created_by=mara.id)


def an_organization(name):
    organization = factories.an_organization(name)
    tenant_database()[organization.placement.collection].insert_one({"of": name})
    return organization


@contextmanager
def stopped(kind, step):
    """Operations of this kind end before a step: MongoDB doesn't answer."""

    def away(organization):
        raise ConnectionFailure("made to end here")

    plan = lifecycle.PLANS[kind]
    lifecycle.PLANS[kind] = replace(plan, forward=(*plan.forward[:step], away))
    try:
        yield
    finally:
        lifecycle.PLANS[kind] = plan


def unfinished():
    """Two organizations for each kind of operation."""
    for step, when in ((0, "first"), (-1, "last")):
        context = factories.origin()
        with stopped("create", step):
            factories.an_organization(f"Create {when}")
        renamed = an_organization(f"Rename {when}")
        with stopped("rename", step):
            renaming.rename_organization(renamed, f"Renamed {when}", context)
        trashed = an_organization(f"Trash {when}")
        with stopped("trash", step):
            trashing.trash_organization(trashed, trashed.name, context)
        restored = an_organization(f"Restore {when}")
        trashing.trash_organization(restored, restored.name, context)
        with stopped("restore", step):
            restoring.restore_organization(factories.fresh(restored), None, context)
        purged = an_organization(f"Purge {when}")
        with stopped("purge", step):
            purging.purge_organization(purged, purged.name, context)
        repaired = an_organization(f"Repair {when}")
        tenant_database()[repaired.placement.collection].rename(f"moved_{when}")
        with stopped("repair", step):
            lifecycle.repair_organization(repaired, context)


def turned_back():
    """A rename that is being turned back, since a stranger's collection had the name."""
    organization = an_organization("Back")
    tenant_database().create_collection("org_in_the_way")
    plan = lifecycle.PLANS["rename"]

    def away(organization):
        raise ConnectionFailure("made to end here")

    lifecycle.PLANS["rename"] = replace(plan, back=(away,))
    renaming.rename_organization(organization, "In the way", factories.origin())
    lifecycle.PLANS["rename"] = plan
    tenant_database().drop_collection("org_in_the_way")


def stored(client):
    """Each collection, followed by its documents."""
    for database_name in (MASTER, TENANT):
        for listed in client[database_name].list_collections():
            name = listed["name"]
            yield {"database": database_name, "collection": name, "uuid": listed["info"]["uuid"]}
            yield from client[database_name][name].find()


def make(target):
    sessions.LONGEST_LIFE = timedelta(days=36_500)
    sessions._life_of = lambda kind: sessions.LONGEST_LIFE
    with tempfile.TemporaryDirectory() as folder:
        running = mongod.start(Path(folder), secrets.token_hex(16))
        try:
            settings = Settings(
                mongo_uri=running.uri, **SECRETS, master_db=MASTER, tenant_db=TENANT,
                public_url="http://localhost", installation_id="test", web_concurrency=1,
                rate_limits=False, mail_directory=f"{folder}/mail",
            )  # fmt: skip
            build.build()
            app = create_app(settings)
            database.prepare()
            held = made_by_hand(app)
            unfinished()
            turned_back()
            head = {"made_at": clock.now(), "secrets": SECRETS, "held": held}
            parts = [head, *stored(database.client())]
        finally:
            running.stop()
    options = bson.CodecOptions(uuid_representation=4)
    with open(target, "wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        for part in parts:
            packed.write(bson.encode(part, codec_options=options))


if __name__ == "__main__":
    make(sys.argv[1])
