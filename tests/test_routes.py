"""Every route, asked for in every role and none, and of the API by keys too: who gets in is what
the tables say.

A route that is not in ``ROUTES`` fails, so that none can come or go unnoticed.
"""

from dataclasses import replace
from functools import cache, partial
from itertools import groupby

import bson
import pytest
from bson import ObjectId

from portal import clock
from portal.api.document_requests import OCTETS
from portal.data import writing
from portal.data.access import operator_access
from portal.data.formats.options import Format, WriteOptions
from portal.data.history.entries import list_edits
from portal.data.queries import Query
from portal.data.transfer.exports import start_export
from portal.data.transfer.files import Purpose, put_stream
from portal.data.transfer.imports import begin_upload, finish_upload
from portal.database.connection import master_database, tenant_database
from portal.documents.accounts import Account, OperatorRole
from portal.documents.credentials import Credential
from portal.documents.document_views import DocumentView
from portal.documents.memberships import Membership, Role
from portal.documents.moves import MoveState
from portal.documents.organizations import Organization
from portal.documents.support import GrantState, SupportGrant
from portal.identity.api_keys import credentials
from portal.jobs.managing import start_job
from portal.jobs.running import KINDS
from portal.operators.bulk import managing as bulk
from portal.operators.keys import create_key as create_operator_key
from portal.operators.organizations import notes
from portal.organizations.api_keys import managing
from portal.organizations.lifecycle.trashing import trash_organization
from portal.organizations.moving.finding import open_move_of
from portal.permissions import OPERATOR_ROLES, ROLES, of_api_key
from portal.web.context import OPERATOR, RequestContext
from tests.conftest import filled
from tests.factories import (
    a_context,
    a_credential,
    a_hold,
    a_key,
    a_member,
    a_passkey,
    a_session,
    a_suspension,
    an_account,
    an_invitation,
    an_organization,
)
from tests.moving.records import a_move, a_way_back
from tests.program import Program
from tests.visitor import Visitor

PUBLIC, PERSON, LEAVES = "everybody", "everybody with an account", "leads to the log-in"
KNOWN = "everybody with an account, and keys"
PROVISIONING = "provisioning keys"
OWN = "whose it is, which none of these are"
NOBODY, STRANGER = "nobody", "stranger"
ROLES_AND_NONE = (NOBODY, STRANGER, Role.VIEWER, Role.ADMIN, Role.OWNER)
# Those who are asked of the console: its operators, and who is none.
CONSOLE_ROLES = (NOBODY, Role.OWNER, *OperatorRole)
# Where ids in the address are those of operators and their keys.
CONSOLE_PATHS = {
    "account_id": ("/operator/operators/", "/admin/operators/"),
    "key_id": ("/operator/keys/", "/admin/keys/"),
}
CONSOLE = OPERATOR_ROLES[OperatorRole.ADMIN]
VIEWER_KEY, ADMIN_KEY, FOREIGN_KEY = "viewer's key", "admin's key", "key of another organization"
KEYS = (PROVISIONING, VIEWER_KEY, FOREIGN_KEY, ADMIN_KEY)

# What each route needs: a permission in the organization that its address names, or in the console,
# an account, or nothing. The permissions of what is in the trash count there, where only owners are.
ROUTES = {
    "GET /": PUBLIC,
    "GET /healthz": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /docs": PUBLIC,
    "GET /docs/application": PUBLIC,
    "GET /docs/library": PUBLIC,
    "GET /docs/openapi.json": PUBLIC,
    "GET /docs/shop.py": PUBLIC,
    "GET /signup": PUBLIC,
    "POST /signup": PUBLIC,
    "POST /signup/password": PUBLIC,
    "GET /signup/finish": PUBLIC,
    "POST /signup/finish": PUBLIC,
    "GET /login": PUBLIC,
    "POST /login": PUBLIC,
    "GET /login/second": PERSON,  # is led on
    "POST /login/second": PERSON,
    "GET /login/passkey": PUBLIC,
    "POST /login/passkey": PUBLIC,
    "POST /logout": LEAVES,
    "GET /.well-known/change-password": PUBLIC,
    "GET /forgot": PUBLIC,
    "POST /forgot": PUBLIC,
    "GET /recover": PUBLIC,
    "POST /recover": PUBLIC,
    "GET /verify": PUBLIC,
    "POST /verify": PUBLIC,
    "GET /address": PUBLIC,
    "POST /address": PUBLIC,
    "GET /account": PERSON,
    "POST /account": PERSON,
    "POST /account/verification": PERSON,
    "GET /account/address": PERSON,
    "POST /account/address": PERSON,
    "GET /account/password": PERSON,
    "POST /account/password": PERSON,
    "GET /account/sessions": PERSON,
    "POST /account/sessions/<public_id>/end": PERSON,
    "POST /account/sessions/end-others": PERSON,
    "GET /account/export": PERSON,
    "GET /account/close": PERSON,
    "POST /account/close": PERSON,
    "GET /account/confirm": PERSON,
    "POST /account/confirm": PERSON,
    "GET /account/security": PERSON,
    "GET /account/security/app": PERSON,
    "POST /account/security/app": PERSON,
    "GET /account/security/app/remove": PERSON,
    "POST /account/security/app/remove": PERSON,
    "GET /account/security/passkeys/new": PERSON,
    "POST /account/security/passkeys/new": PERSON,
    "GET /account/security/passkeys/<passkey_id>": OWN,
    "POST /account/security/passkeys/<passkey_id>": OWN,
    "GET /account/security/passkeys/<passkey_id>/remove": OWN,
    "POST /account/security/passkeys/<passkey_id>/remove": OWN,
    "GET /account/security/codes/new": PERSON,
    "POST /account/security/codes/new": PERSON,
    "POST /account/security/browsers/forget": PERSON,
    "GET /organizations": PERSON,
    "GET /organizations/preview": PUBLIC,
    "GET /organizations/new": PERSON,
    "POST /organizations/new": PERSON,
    "GET /organizations/<slug>": "organization.view",
    "GET /organizations/<slug>/activity": "audit.view",
    "GET /organizations/<slug>/activity.csv": "audit.export",
    "GET /organizations/<slug>/activity.jsonl": "audit.export",
    "GET /organizations/<slug>/data": "documents.read",
    "GET /organizations/<slug>/data/shape": "documents.read",
    "GET /organizations/<slug>/data/views": "documents.read",
    "GET /organizations/<slug>/data/views/new": "documents.read",
    "POST /organizations/<slug>/data/views/new": "documents.read",
    "GET /organizations/<slug>/data/views/<view_id>/change": "documents.read",
    "POST /organizations/<slug>/data/views/<view_id>/change": "documents.read",
    "GET /organizations/<slug>/data/views/<view_id>/delete": "documents.read",
    "POST /organizations/<slug>/data/views/<view_id>/delete": "documents.read",
    "GET /organizations/<slug>/data/selected": "documents.read",
    "GET /organizations/<slug>/data/count": "documents.read",
    "GET /organizations/<slug>/data/readings": "documents.read",
    "GET /organizations/<slug>/data/documents/new": "documents.write",
    "POST /organizations/<slug>/data/documents/new": "documents.write",
    "GET /organizations/<slug>/data/documents/<address>": "documents.read",
    "GET /organizations/<slug>/data/documents/<address>/edit": "documents.write",
    "POST /organizations/<slug>/data/documents/<address>/edit": "documents.write",
    "GET /organizations/<slug>/data/documents/<address>/json": "documents.write",
    "POST /organizations/<slug>/data/documents/<address>/json": "documents.write",
    "GET /organizations/<slug>/data/documents/<address>/conflict": "documents.write",
    "POST /organizations/<slug>/data/documents/<address>/conflict": "documents.write",
    "GET /organizations/<slug>/data/documents/<address>/duplicate": "documents.write",
    "POST /organizations/<slug>/data/documents/<address>/duplicate": "documents.write",
    "GET /organizations/<slug>/data/documents/<address>/delete": "documents.write",
    "POST /organizations/<slug>/data/documents/<address>/delete": "documents.write",
    "GET /organizations/<slug>/data/documents/<address>/value": "documents.read",
    "GET /organizations/<slug>/data/masks": "documents.mask",
    "GET /organizations/<slug>/data/masks/new": "documents.mask",
    "POST /organizations/<slug>/data/masks/new": "documents.mask",
    "GET /organizations/<slug>/data/masks/remove": "documents.mask",
    "POST /organizations/<slug>/data/masks/remove": "documents.mask",
    "POST /organizations/<slug>/data/masks/pass-over": "documents.mask",
    "GET /organizations/<slug>/data/indexes": "indexes.manage",
    "POST /organizations/<slug>/data/indexes/new": "indexes.manage",
    "GET /organizations/<slug>/data/indexes/<path:index_name>/drop": "indexes.manage",
    "POST /organizations/<slug>/data/indexes/<path:index_name>/drop": "indexes.manage",
    "POST /organizations/<slug>/data/indexes/<path:index_name>/hide": "indexes.manage",
    "POST /organizations/<slug>/data/indexes/<path:index_name>/unhide": "indexes.manage",
    "GET /organizations/<slug>/data/rules": "indexes.manage",
    "POST /organizations/<slug>/data/rules": "indexes.manage",
    "POST /organizations/<slug>/data/rules/force": "indexes.manage",
    "POST /organizations/<slug>/data/rules/end": "indexes.manage",
    "GET /organizations/<slug>/data/imports": "documents.read",
    "POST /organizations/<slug>/data/imports": "documents.write",
    "POST /organizations/<slug>/data/imports/uploads": "documents.write",
    "GET /organizations/<slug>/data/imports/<file_id>/parts": "documents.write",
    "POST /organizations/<slug>/data/imports/<file_id>/parts/<int:number>": "documents.write",
    "POST /organizations/<slug>/data/imports/<file_id>/complete": "documents.write",
    "GET /organizations/<slug>/data/imports/<file_id>": "documents.write",
    "POST /organizations/<slug>/data/imports/<file_id>/reading": "documents.write",
    "GET /organizations/<slug>/data/imports/<file_id>/decide": "documents.write",
    "POST /organizations/<slug>/data/imports/<file_id>/decide": "documents.write",
    "POST /organizations/<slug>/data/imports/<file_id>/write": "documents.write",
    "POST /organizations/<slug>/data/imports/<file_id>/indexes": "indexes.manage",
    "GET /organizations/<slug>/data/imports/<file_id>/cancel": "documents.write",
    "POST /organizations/<slug>/data/imports/<file_id>/cancel": "documents.write",
    "GET /organizations/<slug>/data/imports/<file_id>/discard": "documents.write",
    "POST /organizations/<slug>/data/imports/<file_id>/discard": "documents.write",
    "GET /organizations/<slug>/data/imports/<file_id>/errors": "documents.write",
    "GET /organizations/<slug>/data/exports": "documents.read",
    "POST /organizations/<slug>/data/exports": "documents.read",
    "GET /organizations/<slug>/data/exports/<export_id>": "documents.read",
    "POST /organizations/<slug>/data/exports/<export_id>/delete": "documents.read",
    "GET /organizations/<slug>/data/exports/<export_id>/file": "documents.read",
    "GET /organizations/<slug>/data/history": "documents.read",
    "GET /organizations/<slug>/data/history/settings": "documents.record",
    "POST /organizations/<slug>/data/history/settings": "documents.record",
    "GET /organizations/<slug>/data/history/<edit_id>": "documents.read",
    "GET /organizations/<slug>/data/history/<edit_id>/left.csv": "documents.read",
    "GET /organizations/<slug>/data/history/<edit_id>/undo": "documents.write",
    "POST /organizations/<slug>/data/history/<edit_id>/undo": "documents.write",
    "POST /organizations/<slug>/data/history/<edit_id>/cancel": "documents.write",
    "GET /organizations/<slug>/data/bulk": "documents.write",
    "GET /organizations/<slug>/data/bulk/delete": "documents.write",
    "POST /organizations/<slug>/data/bulk/delete": "documents.write",
    "POST /organizations/<slug>/data/bulk": "documents.write",
    "GET /organizations/<slug>/data/documents/<address>/erase": "documents.erase",
    "POST /organizations/<slug>/data/documents/<address>/erase": "documents.erase",
    "GET /organizations/<slug>/connect": "organization.view",
    "GET /organizations/<slug>/placement": "organization.view",
    "GET /organizations/<slug>/usage": "organization.view",
    "GET /organizations/<slug>/placement/move": "organization.view",
    "GET /organizations/<slug>/placement/move/request": "organization.move",
    "POST /organizations/<slug>/placement/move/request": "organization.move",
    "POST /organizations/<slug>/placement/move/withdraw": "organization.move",
    "GET /organizations/<slug>/placement/move/back": "organization.move",
    "POST /organizations/<slug>/placement/move/back": "organization.move",
    "GET /organizations/<slug>/placement/move/end": "organization.move",
    "POST /organizations/<slug>/placement/move/end": "organization.move",
    "GET /organizations/<slug>/settings": "organization.view",
    "GET /organizations/<slug>/second-factor": "organization.require_second_factor",
    "POST /organizations/<slug>/second-factor": "organization.require_second_factor",
    "GET /organizations/<slug>/viewers": "documents.share",
    "POST /organizations/<slug>/viewers": "documents.share",
    "GET /organizations/<slug>/rename": "organization.rename",
    "POST /organizations/<slug>/rename": "organization.rename",
    "GET /organizations/<slug>/adopt": "organization.adopt",
    "POST /organizations/<slug>/adopt": "organization.adopt",
    "GET /organizations/<slug>/delete": "organization.delete",
    "POST /organizations/<slug>/delete": "organization.delete",
    "GET /organizations/<slug>/keys": "keys.manage",
    "GET /organizations/<slug>/keys/new": "keys.manage",
    "POST /organizations/<slug>/keys/new": "keys.manage",
    "GET /organizations/<slug>/keys/<key_id>/rotate": "keys.manage",
    "POST /organizations/<slug>/keys/<key_id>/rotate": "keys.manage",
    "GET /organizations/<slug>/keys/<key_id>/revoke": "keys.manage",
    "POST /organizations/<slug>/keys/<key_id>/revoke": "keys.manage",
    "GET /organizations/<slug>/credentials": "credentials.manage",
    "GET /organizations/<slug>/credentials/new": "credentials.manage",
    "POST /organizations/<slug>/credentials/new": "credentials.manage",
    "GET /organizations/<slug>/credentials/<credential_id>/rotate": "credentials.manage",
    "POST /organizations/<slug>/credentials/<credential_id>/rotate": "credentials.manage",
    "GET /organizations/<slug>/credentials/<credential_id>/end": "credentials.manage",
    "POST /organizations/<slug>/credentials/<credential_id>/end": "credentials.manage",
    "GET /organizations/<slug>/credentials/<credential_id>/move": "credentials.manage",
    "POST /organizations/<slug>/credentials/<credential_id>/move": "credentials.manage",
    "GET /organizations/<slug>/credentials/<credential_id>/revoke": "credentials.manage",
    "POST /organizations/<slug>/credentials/<credential_id>/revoke": "credentials.manage",
    "GET /organizations/<slug>/members": "members.view",
    "GET /organizations/<slug>/members/<account_id>/role": "members.manage",
    "POST /organizations/<slug>/members/<account_id>/role": "members.manage",
    "GET /organizations/<slug>/members/<account_id>/remove": "members.manage",
    "POST /organizations/<slug>/members/<account_id>/remove": "members.manage",
    "GET /organizations/<slug>/members/<account_id>/ownership": "owners.manage",
    "POST /organizations/<slug>/members/<account_id>/ownership": "owners.manage",
    "POST /organizations/<slug>/members/<account_id>/ownership/withdraw": "owners.manage",
    "GET /organizations/<slug>/leave": "organization.leave",
    "POST /organizations/<slug>/leave": "organization.leave",
    "GET /organizations/<slug>/ownership": "members.view",
    "POST /organizations/<slug>/ownership": "members.view",
    "POST /organizations/<slug>/ownership/decline": "members.view",
    "GET /organizations/<slug>/invitations": "invitations.manage",
    "POST /organizations/<slug>/invitations": "invitations.manage",
    "POST /organizations/<slug>/invitations/<invitation_id>/resend": "invitations.manage",
    "POST /organizations/<slug>/invitations/<invitation_id>/withdraw": "invitations.manage",
    "GET /invitations/<token>": PUBLIC,
    "POST /invitations/<token>": PUBLIC,
    "GET /account/invitations": PERSON,
    "POST /account/invitations/<invitation_id>": PERSON,
    "GET /trash": PERSON,
    "GET /trash/<organization_id>": "organization.restore",
    "GET /trash/<organization_id>/restore": "organization.restore",
    "POST /trash/<organization_id>/restore": "organization.restore",
    "GET /trash/<organization_id>/purge": "organization.purge",
    "POST /trash/<organization_id>/purge": "organization.purge",
    "GET /operator/organizations/<organization_id>/move": "console.view",
    "GET /operator/organizations/<organization_id>/move/new": "console.act",
    "POST /operator/organizations/<organization_id>/move/new": "console.act",
    "GET /operator/organizations/<organization_id>/move/approve": "console.act",
    "POST /operator/organizations/<organization_id>/move/approve": "console.act",
    "GET /operator/organizations/<organization_id>/move/decline": "console.act",
    "POST /operator/organizations/<organization_id>/move/decline": "console.act",
    "POST /operator/organizations/<organization_id>/move/pause": "console.act",
    "POST /operator/organizations/<organization_id>/move/resume": "console.act",
    "GET /operator/organizations/<organization_id>/move/throttle": "console.act",
    "POST /operator/organizations/<organization_id>/move/throttle": "console.act",
    "GET /operator/organizations/<organization_id>/move/extend": "console.act",
    "POST /operator/organizations/<organization_id>/move/extend": "console.act",
    "POST /operator/organizations/<organization_id>/move/switch": "console.act",
    "POST /operator/organizations/<organization_id>/move/abort": "console.act",
    "POST /operator/organizations/<organization_id>/move/back": "console.act",
    "GET /operator/organizations/<organization_id>/move/end": "console.act",
    "POST /operator/organizations/<organization_id>/move/end": "console.act",
    "GET /admin/organizations/<organization_id>/move": "console.view",
    "POST /admin/organizations/<organization_id>/move": "console.act",
    "POST /admin/organizations/<organization_id>/move/approve": "console.act",
    "POST /admin/organizations/<organization_id>/move/decline": "console.act",
    "POST /admin/organizations/<organization_id>/move/pause": "console.act",
    "POST /admin/organizations/<organization_id>/move/resume": "console.act",
    "POST /admin/organizations/<organization_id>/move/throttle": "console.act",
    "POST /admin/organizations/<organization_id>/move/extend": "console.act",
    "POST /admin/organizations/<organization_id>/move/switch": "console.act",
    "POST /admin/organizations/<organization_id>/move/abort": "console.act",
    "POST /admin/organizations/<organization_id>/move/back": "console.act",
    "POST /admin/organizations/<organization_id>/move/end": "console.act",
    "POST /admin/bulk": "console.act",
    "GET /admin/bulk": "console.view",
    "GET /admin/bulk/<bulk_id>": "console.view",
    "GET /admin/bulk/<bulk_id>/results": "console.view",
    "POST /admin/bulk/<bulk_id>/start": "console.act",
    "POST /admin/bulk/<bulk_id>/pause": "console.act",
    "POST /admin/bulk/<bulk_id>/resume": "console.act",
    "POST /admin/bulk/<bulk_id>/cancel": "console.act",
    "POST /admin/bulk/<bulk_id>/retry": "console.act",
    "GET /operator/bulk": "console.view",
    "GET /operator/bulk/new": "console.act",
    "POST /operator/bulk/new": "console.act",
    "GET /operator/bulk/<bulk_id>": "console.view",
    "GET /operator/bulk/<bulk_id>/start": "console.act",
    "POST /operator/bulk/<bulk_id>/start": "console.act",
    "POST /operator/bulk/<bulk_id>/pause": "console.act",
    "POST /operator/bulk/<bulk_id>/resume": "console.act",
    "POST /operator/bulk/<bulk_id>/cancel": "console.act",
    "POST /operator/bulk/<bulk_id>/retry": "console.act",
    "GET /operator/bulk/<bulk_id>/results.csv": "console.view",
    "GET /admin/organizations/<organization_id>": "console.view",
    "GET /admin/organizations/<organization_id>/members": "console.view",
    "PUT /admin/organizations/<organization_id>/name": "console.act",
    "POST /admin/organizations/<organization_id>/trash": "console.act",
    "POST /admin/organizations/<organization_id>/restore": "console.act",
    "POST /admin/organizations/<organization_id>/purge": "console.act",
    "PATCH /admin/organizations/<organization_id>/plan": "console.act",
    "PATCH /admin/organizations/<organization_id>/external": "console.act",
    "POST /admin/organizations/<organization_id>/owners": "console.act",
    "GET /admin/organizations/<organization_id>/notes": "console.view",
    "POST /admin/organizations/<organization_id>/notes": "console.act",
    "DELETE /admin/organizations/<organization_id>/notes/<note_id>": "console.act",
    "GET /admin/usage": "console.view",
    "GET /admin/organizations/<organization_id>/usage": "console.view",
    "GET /admin/organizations/<organization_id>/limits": "console.view",
    "PATCH /admin/organizations/<organization_id>/limits": "console.act",
    "POST /admin/organizations/<organization_id>/limits/count": "console.act",
    "GET /admin/plans": "console.view",
    "PATCH /admin/plans/<plan>/limits": "console.act",
    "GET /operator/usage": "console.view",
    "GET /operator/organizations/<organization_id>/usage": "console.view",
    "GET /operator/organizations/<organization_id>/limits": "console.act",
    "POST /operator/organizations/<organization_id>/limits": "console.act",
    "POST /operator/organizations/<organization_id>/limits/count": "console.act",
    "GET /operator/limits": "console.act",
    "POST /operator/limits": "console.act",
    "GET /operator/organizations/<organization_id>/restrictions": "console.view",
    "GET /operator/organizations/<organization_id>/restrictions/new": "console.act",
    "POST /operator/organizations/<organization_id>/restrictions/new": "console.act",
    "GET /operator/organizations/<organization_id>/restrictions/<suspension_id>/lift": "console.act",
    "POST /operator/organizations/<organization_id>/restrictions/<suspension_id>/lift": "console.act",
    "GET /operator/organizations/<organization_id>/hold": "console.act",
    "POST /operator/organizations/<organization_id>/hold": "console.act",
    "GET /operator/organizations/<organization_id>/hold/<hold_id>/release": "console.act",
    "POST /operator/organizations/<organization_id>/hold/<hold_id>/release": "console.act",
    "GET /admin/organizations/<organization_id>/restrictions": "console.view",
    "POST /admin/organizations/<organization_id>/restrictions": "console.act",
    "DELETE /admin/organizations/<organization_id>/restrictions/<suspension_id>": "console.act",
    "POST /admin/organizations/<organization_id>/hold": "console.act",
    "DELETE /admin/organizations/<organization_id>/hold/<hold_id>": "console.act",
    "GET /operator/organizations/<organization_id>": "console.view",
    "GET /operator/organizations/<organization_id>/members": "console.view",
    "GET /operator/organizations/<organization_id>/activity": "console.view",
    "GET /operator/organizations/<organization_id>/notes": "console.view",
    "POST /operator/organizations/<organization_id>/notes": "console.act",
    "POST /operator/organizations/<organization_id>/notes/<note_id>/remove": "console.act",
    "GET /operator/organizations/<organization_id>/plan": "console.act",
    "POST /operator/organizations/<organization_id>/plan": "console.act",
    "GET /operator/organizations/<organization_id>/metadata": "console.act",
    "POST /operator/organizations/<organization_id>/metadata": "console.act",
    "GET /operator/organizations/<organization_id>/owner": "console.act",
    "POST /operator/organizations/<organization_id>/owner": "console.act",
    "GET /operator/organizations/<organization_id>/preview": "console.act",
    "GET /operator/organizations/<organization_id>/rename": "console.act",
    "POST /operator/organizations/<organization_id>/rename": "console.act",
    "GET /operator/organizations/<organization_id>/restore": "console.act",
    "POST /operator/organizations/<organization_id>/restore": "console.act",
    "GET /operator/organizations/<organization_id>/trash": "console.act",
    "POST /operator/organizations/<organization_id>/trash": "console.act",
    "GET /operator/organizations/<organization_id>/purge": "console.act",
    "POST /operator/organizations/<organization_id>/purge": "console.act",
    "POST /org/create": PUBLIC,
    "GET /org/trash": PERSON,
    "GET /org/<name:name>": "organization.view",
    "GET /org/<name:name>/views": "documents.read",
    "POST /org/<name:name>/views": "documents.read",
    "PUT /org/<name:name>/views/<view_id>": "documents.read",
    "DELETE /org/<name:name>/views/<view_id>": "documents.read",
    "GET /org/<name:name>/placement": "organization.view",
    "GET /org/by-id/<organization_id>/placement": "organization.view",
    "GET /org/<name:name>/move": "organization.view",
    "POST /org/<name:name>/move": "organization.move",
    "GET /org/<name:name>/audit": "audit.export",
    "PUT /org/update/<name:name>": "organization.rename",
    "PUT /org/update": "organization.rename",
    "DELETE /org/delete/<name:name>": "organization.delete",
    "DELETE /org/delete": "organization.delete",
    "POST /org/<name:name>/adopt": "organization.adopt",
    "PATCH /org/<name:name>/plan": PROVISIONING,
    "PATCH /org/<name:name>/external": PROVISIONING,
    "GET /org/<name:name>/members": "members.view",
    "PUT /org/<name:name>/members/<account_id>": "members.manage",
    "DELETE /org/<name:name>/members/<account_id>": "members.manage",
    "GET /org/<name:name>/invitations": "invitations.manage",
    "POST /org/<name:name>/invitations": "invitations.manage",
    "POST /org/<name:name>/invitations/<invitation_id>/resend": "invitations.manage",
    "DELETE /org/<name:name>/invitations/<invitation_id>": "invitations.manage",
    "POST /org/trash/<organization_id>/restore": "organization.restore",
    "DELETE /org/trash/<organization_id>": "organization.purge",
    "GET /org/<name:name>/keys": "keys.manage",
    "POST /org/<name:name>/keys": "keys.manage",
    "POST /org/<name:name>/keys/<key_id>/rotate": "keys.manage",
    "DELETE /org/<name:name>/keys/<key_id>": "keys.manage",
    "GET /org/<name:name>/credentials": "credentials.manage",
    "POST /org/<name:name>/credentials": "credentials.manage",
    "POST /org/<name:name>/credentials/<credential_id>/rotate": "credentials.manage",
    "POST /org/<name:name>/credentials/<credential_id>/prepare-move": "credentials.manage",
    "POST /org/<name:name>/credentials/<credential_id>/end-overlap": "credentials.manage",
    "DELETE /org/<name:name>/credentials/<credential_id>": "credentials.manage",
    "GET /org/<name:name>/documents": "documents.read",
    "POST /org/<name:name>/documents": "documents.write",
    "POST /org/<name:name>/documents/query": "documents.read",
    "POST /org/<name:name>/documents/count": "documents.read",
    "POST /org/<name:name>/documents/aggregate": "documents.read",
    "POST /org/<name:name>/documents/update": "documents.write",
    "POST /org/<name:name>/documents/change": "documents.write",
    "POST /org/<name:name>/documents/change/preview": "documents.write",
    "POST /org/<name:name>/documents/delete": "documents.write",
    "GET /org/<name:name>/documents/<document_id>": "documents.read",
    "PUT /org/<name:name>/documents/<document_id>": "documents.write",
    "PATCH /org/<name:name>/documents/<document_id>": "documents.write",
    "DELETE /org/<name:name>/documents/<document_id>": "documents.write",
    "GET /org/<name:name>/indexes": "indexes.manage",
    "POST /org/<name:name>/indexes": "indexes.manage",
    "POST /org/<name:name>/indexes/check": "indexes.manage",
    "GET /org/<name:name>/shape": "documents.read",
    "GET /org/<name:name>/rules": "indexes.manage",
    "GET /org/<name:name>/rules/former": "indexes.manage",
    "GET /org/<name:name>/rules/proposal": "indexes.manage",
    "POST /org/<name:name>/rules/try": "indexes.manage",
    "PUT /org/<name:name>/rules": "indexes.manage",
    "PATCH /org/<name:name>/indexes/<index_name>": "indexes.manage",
    "GET /org/<name:name>/history": "documents.read",
    "GET /org/<name:name>/history/settings": "documents.record",
    "PUT /org/<name:name>/history/settings": "documents.record",
    "GET /org/<name:name>/history/<edit_id>": "documents.read",
    "POST /org/<name:name>/history/<edit_id>/undo": "documents.write",
    "GET /org/<name:name>/imports": "documents.write",
    "POST /org/<name:name>/imports": "documents.write",
    "PUT /org/<name:name>/imports/<file_id>/content": "documents.write",
    "PUT /org/<name:name>/imports/<file_id>/parts/<number>": "documents.write",
    "POST /org/<name:name>/imports/<file_id>/complete": "documents.write",
    "GET /org/<name:name>/imports/<file_id>": "documents.write",
    "POST /org/<name:name>/imports/<file_id>/reading": "documents.write",
    "POST /org/<name:name>/imports/<file_id>/check": "documents.write",
    "POST /org/<name:name>/imports/<file_id>/write": "documents.write",
    "GET /org/<name:name>/imports/<file_id>/indexes": "indexes.manage",
    "POST /org/<name:name>/imports/<file_id>/indexes": "indexes.manage",
    "POST /org/<name:name>/imports/<file_id>/cancel": "documents.write",
    "GET /org/<name:name>/imports/<file_id>/errors": "documents.write",
    "DELETE /org/<name:name>/imports/<file_id>": "documents.write",
    "POST /org/<name:name>/exports": "documents.read",
    "GET /org/<name:name>/exports/<export_id>": "documents.read",
    "GET /org/<name:name>/exports/<export_id>/file": "documents.read",
    "DELETE /org/<name:name>/exports/<export_id>": "documents.read",
    "GET /org/<name:name>/masks": "documents.mask",
    "POST /org/<name:name>/masks": "documents.mask",
    "DELETE /org/<name:name>/masks": "documents.mask",
    "DELETE /org/<name:name>/indexes/<index_name>": "indexes.manage",
    "POST /admin/login": PUBLIC,
    "GET /organizations/<slug>/support": "organization.view",
    "GET /organizations/<slug>/support/give": "support.grant",
    "POST /organizations/<slug>/support/give": "support.grant",
    "GET /organizations/<slug>/support/<grant_id>": "support.grant",
    "POST /organizations/<slug>/support/<grant_id>": "support.grant",
    "GET /organizations/<slug>/support/<grant_id>/decline": "support.grant",
    "POST /organizations/<slug>/support/<grant_id>/decline": "support.grant",
    "GET /organizations/<slug>/support/<grant_id>/end": "support.grant",
    "POST /organizations/<slug>/support/<grant_id>/end": "support.grant",
    "POST /support/leave": PERSON,  # is led away
    "GET /org/<name:name>/support": "organization.view",
    "POST /org/<name:name>/support": "support.grant",
    "POST /org/<name:name>/support/<grant_id>/grant": "support.grant",
    "POST /org/<name:name>/support/<grant_id>/decline": "support.grant",
    "DELETE /org/<name:name>/support/<grant_id>": "support.grant",
    "GET /operator/organizations/<organization_id>/support": "console.view",
    "GET /operator/organizations/<organization_id>/support/ask": "console.view",
    "POST /operator/organizations/<organization_id>/support/ask": "console.view",
    "GET /operator/organizations/<organization_id>/support/<grant_id>/enter": "console.view",
    "POST /operator/organizations/<organization_id>/support/<grant_id>/enter": "console.view",
    "GET /operator/organizations/<organization_id>/support/<grant_id>/give-back": "console.view",
    "POST /operator/organizations/<organization_id>/support/<grant_id>/give-back": "console.view",
    "GET /admin/organizations/<organization_id>/support": "console.view",
    "POST /admin/organizations/<organization_id>/support": "console.view",
    "DELETE /admin/organizations/<organization_id>/support/<grant_id>": "console.view",
    "GET /admin/operators": "console.view",
    "GET /admin/organizations": "console.view",
    "GET /operator/operators": "console.view",
    "GET /operator": "console.view",
    "GET /operator/capacity": "console.view",
    "GET /operator/doctor": "console.view",
    "POST /operator/doctor/examine": "console.act",
    "GET /operator/operations": "console.view",
    "POST /operator/operations/<organization_id>/<operation_id>/retry": "console.act",
    "POST /operator/operations/<organization_id>/<operation_id>/undo": "console.act",
    "POST /operator/jobs/<job_id>/pause": "console.act",
    "POST /operator/jobs/<job_id>/resume": "console.act",
    "POST /operator/jobs/<job_id>/cancel": "console.act",
    "GET /operator/outbox": "console.view",
    "GET /operator/activity": "console.view",
    "GET /admin/overview": "console.view",
    "GET /admin/operations": "console.view",
    "POST /admin/operations/<organization_id>/<operation_id>/retry": "console.act",
    "POST /admin/operations/<organization_id>/<operation_id>/undo": "console.act",
    "POST /admin/jobs/<job_id>/pause": "console.act",
    "POST /admin/jobs/<job_id>/resume": "console.act",
    "POST /admin/jobs/<job_id>/cancel": "console.act",
    "GET /admin/outbox": "console.view",
    "POST /admin/outbox/retry": "console.act",
    "GET /admin/doctor": "console.view",
    "POST /admin/doctor/examine": "console.act",
    "POST /admin/processes/<process_id>/forget": "console.act",
    "GET /admin/activity": "console.view",
    "GET /admin/placement/policy": "console.view",
    "PUT /admin/placement/policy": "console.act",
    "GET /admin/placement/proposals": "console.view",
    "GET /operator/placement": "console.view",
    "POST /operator/placement": "console.act",
    "POST /operator/outbox/retry": "console.act",
    "POST /operator/runners/<runner_id>/forget": "console.act",
    "GET /operator/organizations": "console.view",
    "GET /operator/organizations.csv": "console.view",
    "GET /operator/operators/new": "operators.manage",
    "POST /operator/operators/new": "operators.manage",
    "GET /operator/operators/<account_id>": "operators.manage",
    "POST /operator/operators/<account_id>": "operators.manage",
    "GET /operator/operators/<account_id>/remove": "operators.manage",
    "POST /operator/operators/<account_id>/remove": "operators.manage",
    "GET /operator/keys": "console.view",
    "GET /operator/keys/new": "operators.manage",
    "POST /operator/keys/new": "operators.manage",
    "GET /operator/keys/<key_id>/revoke": "operators.manage",
    "POST /operator/keys/<key_id>/revoke": "operators.manage",
    "GET /operator/enter": PUBLIC,
    "POST /operator/enter": PUBLIC,
    "POST /admin/operators": "operators.manage",
    "PUT /admin/operators/<account_id>": "operators.manage",
    "DELETE /admin/operators/<account_id>": "operators.manage",
    "GET /admin/keys": "console.view",
    "GET /operator/people": "console.view",
    "GET /operator/people/<person_id>": "console.view",
    "GET /operator/people/<person_id>/sessions/end": "console.act",
    "POST /operator/people/<person_id>/sessions/end": "console.act",
    "GET /operator/people/<person_id>/factors/reset": "console.act",
    "POST /operator/people/<person_id>/factors/reset": "console.act",
    "GET /operator/people/<person_id>/factors/keep": "console.act",
    "POST /operator/people/<person_id>/factors/keep": "console.act",
    "GET /operator/people/<person_id>/block": "console.act",
    "POST /operator/people/<person_id>/block": "console.act",
    "GET /operator/people/<person_id>/unblock": "console.act",
    "POST /operator/people/<person_id>/unblock": "console.act",
    "GET /admin/people": "console.view",
    "GET /admin/people/<person_id>": "console.view",
    "POST /admin/people/<person_id>/end-sessions": "console.act",
    "POST /admin/people/<person_id>/reset-factors": "console.act",
    "POST /admin/people/<person_id>/keep-factors": "console.act",
    "POST /admin/people/<person_id>/block": "console.act",
    "POST /admin/people/<person_id>/unblock": "console.act",
    "GET /keep-factors": PUBLIC,
    "POST /keep-factors": PUBLIC,
    "POST /account/security/keep": PERSON,
    "POST /admin/keys": "operators.manage",
    "DELETE /admin/keys/<key_id>": "operators.manage",
    "GET /auth/check": KNOWN,
}
API = [route for route in ROUTES if route.split("/")[1] in ("org", "auth", "admin")]
# Bodies that name the organization, where the address doesn't.
BODIES = {
    "PUT /org/update/<name:name>": {"new_organization_name": "Other"},
    "PUT /org/update": {"old_organization_name": "Acme Corp", "new_organization_name": "Other"},
    "DELETE /org/delete": {"organization_name": "Acme Corp"},
    "POST /org/<name:name>/adopt": {"uuid": "4c019639-7e90-4fb9-b912-814c9f056732"},
    "POST /org/<name:name>/move": {"region": "eu-central", "day": "2027-01-31"},
    "POST /org/<name:name>/keys": {"name": "Nightly export", "role": "viewer"},
    "POST /org/<name:name>/credentials": {"name": "Weekly report", "reach": "read"},
    "POST /org/<name:name>/indexes": {"keys": {"title": 1}},
    "POST /org/<name:name>/views": {"name": "First ones", "query": "sort=title", "shared": True},
    "PUT /org/<name:name>/views/<view_id>": {"name": "First", "query": "", "version": 1},
    "POST /org/<name:name>/indexes/check": {"keys": {"title": 1}},
    "PATCH /org/<name:name>/indexes/<index_name>": {"hidden": True},
    "POST /org/<name:name>/rules/try": {"schema": {}},
    "PUT /org/<name:name>/rules": {"schema": None},
    "PUT /org/<name:name>/imports/<file_id>/content": b"{}\n",
    "PUT /org/<name:name>/imports/<file_id>/parts/<number>": b"{}\n",
    "POST /organizations/<slug>/data/imports/<file_id>/parts/<int:number>": b"{}\n",
    "POST /org/<name:name>/imports": {"file_name": "orders.jsonl"},
    "PUT /org/<name:name>/history/settings": {"records_programs": True},
    "POST /org/<name:name>/masks": {"path": "iban"},
    "DELETE /org/<name:name>/masks": {"path": "iban"},
    "PUT /org/<name:name>/members/<account_id>": {"role": "viewer"},
    "POST /org/<name:name>/invitations": {"email": "x@acme.example", "role": "viewer"},
    "POST /org/<name:name>/support": {"reason": "Help", "hours": 4, "with_documents": False},
    "POST /org/<name:name>/support/<grant_id>/grant": {"hours": 4, "with_documents": False},
}
# The open move that a page or call is about.
MOVES = {
    **dict.fromkeys(("approve", "decline"), partial(a_move, state=MoveState.REQUESTED)),
    **dict.fromkeys(("back", "extend", "end"), a_way_back),
}
IN, LOG_IN, FORBIDDEN, NOT_FOUND = "in", "has to log in", 403, 404


def test_the_table_names_exactly_the_routes_there_are(app):
    routes = {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert set(ROUTES) == routes


def expected(need, role):
    if need == PUBLIC:
        return IN
    if role == NOBODY or need == LEAVES:
        return LOG_IN
    if need in (PERSON, KNOWN):
        return IN
    if need in CONSOLE:
        may = OPERATOR_ROLES.get(role)
        return NOT_FOUND if may is None else IN if need in may else FORBIDDEN
    if need == OWN or (role == STRANGER and need != PROVISIONING):
        return NOT_FOUND
    return IN if need in ROLES.get(role, ()) else FORBIDDEN


def expected_of(route, role):
    answer = expected(ROUTES[route], role)
    return NOT_FOUND if of_the_trash(route) and answer == FORBIDDEN else answer


def of_the_trash(route):
    return "<organization_id>" in route and ROUTES[route] not in CONSOLE


class World:
    """Acme Corp, and one in the trash, with a member in each role; a stranger; keys; all of them
    logged in; what is theirs."""

    def __init__(self, app):
        self.app = app
        self.organization, self.trashed = an_organization("Acme Corp"), an_organization("Gone")
        for role in (Role.VIEWER, Role.ADMIN, Role.OWNER):
            account = a_member(self.organization, role, email_of(role))
            there = {"organization": self.trashed.id, "account": account.id, "role": role}
            Membership(**there, since=clock.now()).save()
        an_account(email_of(STRANGER))
        trash_organization(self.trashed, None, a_context())
        self.visitors = {role: self._visitor_of(role) for role in ROLES_AND_NONE}
        self.programs = {role: self._program_of(role) for role in ROLES_AND_NONE}
        self.keys = {kind: self._key_of(kind) for kind in KEYS}
        for role in OperatorRole:
            self._add_operator(role)
        self.session_of, self.theirs = cache(self._session_of), cache(self._theirs)
        self.documents, self.collections = documents(), collections()

    def restore(self):
        """Have all documents be as at first; ``False`` where a collection was moved or dropped."""
        if collections() != self.collections:
            return False
        self.session_of.cache_clear()
        self.theirs.cache_clear()
        there = documents()
        for name in there.keys() | self.documents.keys():
            if (wanted := self.documents.get(name, [])) != there.get(name):
                master_database()[name].delete_many({})
                if wanted:
                    master_database()[name].insert_many(wanted)
        return True

    def fill(self, rule, role):
        """The address, with ids of what belongs to the organization, or to who asks."""
        for name in ("account_id", "key_id"):
            if rule.startswith(CONSOLE_PATHS[name]):
                rule = rule.replace(f"<{name}>", self.theirs(f"operator_{name}", role))
        address = rule.replace("<slug>", "acme-corp").replace("<name:name>", "acme-corp")
        console = rule.split("/")[1] in ("operator", "admin")
        if console and "<grant_id>" in address:
            address = address.replace("<grant_id>", str(a_grant_of(self.trashed).id))
        if "<organization_id>/move/" in rule and open_move_of(self.trashed) is None:
            MOVES.get(rule.rpartition("/")[2], a_move)(self.trashed)
        address = address.replace("<organization_id>", str(self.trashed.id))
        if "<public_id>" in address and role != NOBODY:
            address = address.replace("<public_id>", self.session_of(role))
        if "<document_id>" in address or "index_name>" in address:
            stored = tenant_database()[self.organization.placement.collection]
            stored.replace_one({"_id": 1}, {}, upsert=True)
            stored.create_index("routed", name="by_title")
            address = address.replace("<document_id>", "1").replace("<index_name>", "by_title")
            address = address.replace("<path:index_name>", "by_title")
        address = address.replace("<int:number>", "0").replace("<number>", "0")
        for name in (
            "person_id",
            "passkey_id",
            "key_id",
            "credential_id",
            "account_id",
            "invitation_id",
            "edit_id",
            "view_id",
            "file_id",
            "export_id",
            "note_id",
            "bulk_id",
            "operation_id",
            "runner_id",
            "process_id",
            "job_id",
            "grant_id",
            "suspension_id",
            "hold_id",
        ):
            if f"<{name}>" in address:
                address = address.replace(f"<{name}>", self.theirs(name, role))
        return address

    def ask_page(self, method, address, body, role):
        cookie, token = self.visitors[role]
        visitor = Visitor(self.app)
        visitor.client.set_cookie("portal_session_test", cookie)
        if method == "GET":
            return visitor.client.get(address)
        if isinstance(body, bytes):
            headers = {"X-CSRFToken": token}
            return visitor.client.post(address, data=body, content_type=OCTETS, headers=headers)
        return visitor.client.post(address, data={"csrf_token": token, **(body or {})})

    def ask_api(self, method, address, body, role):
        program = self.programs[role]
        if isinstance(body, bytes):
            return _send(program, method, address, body)
        return program.ask(method, address, body if body or method == "GET" else {})

    def _session_of(self, role):
        """Another one."""
        return str(a_session(email_of(role)).public_id)

    def _visitor_of(self, role):
        """The cookie of one who is logged in, or of nobody, and a token for forms."""
        visitor = Visitor(self.app)
        assert role == NOBODY or visitor.log_in(email_of(role)).status == 303
        token = visitor.token("/login" if role == NOBODY else "/organizations/new")
        return visitor.client.get_cookie("portal_session_test").value, token

    def _program_of(self, role):
        program = Program(self.app)
        if role != NOBODY:
            program.log_in(email_of(role))
        return program

    def _add_operator(self, role):
        account = an_account(email_of(role))
        self.visitors[role] = self._visitor_of(role)
        self.programs[role] = self._program_of(role)
        account.modify(set__operator_role=role, set__has_second_factor=True)

    def _key_of(self, kind):
        made = {
            VIEWER_KEY: lambda: a_key(self.organization, Role.VIEWER),
            ADMIN_KEY: lambda: a_key(self.organization, Role.ADMIN),
            FOREIGN_KEY: lambda: a_key(an_organization("Kestrel"), Role.ADMIN),
            PROVISIONING: lambda: credentials.create_provisioning_key("Sales"),
        }
        return made[kind]()

    def _theirs(self, name, role):
        return str(
            {
                "passkey_id": lambda: (
                    a_passkey(an_account(f"{ObjectId()}@eve.example"), f"{ObjectId()}").id
                ),
                "key_id": self._a_key_of_it,
                "person_id": lambda: an_account(f"{ObjectId()}@pia.example").id,
                "operator_account_id": self._an_operator,
                "operator_key_id": lambda: (
                    create_operator_key("Billing", "support", clock.now().date(), a_context()).id
                ),
                "credential_id": self._a_credential_of_it,
                "account_id": lambda: (
                    a_member(self.organization, Role.VIEWER, f"{ObjectId()}@pia.example").id
                ),
                "invitation_id": lambda: self._an_invitation_of_it(role),
                "view_id": self._a_view_of_it,
                "grant_id": lambda: a_grant_of(self.organization).id,
                "edit_id": self._an_edit_of_it,
                "file_id": lambda: self._a_file_of(role, Purpose.IMPORT),
                "export_id": lambda: self._a_file_of(role, Purpose.EXPORT),
                "bulk_id": self._a_bulk_of_it,
                "note_id": lambda: notes.add_note(self.trashed.id, "Called.", a_context()).id,
                "suspension_id": lambda: a_suspension(self.trashed).id,
                "hold_id": lambda: a_hold(self.trashed).id,
                "operation_id": ObjectId,  # which is over
                "runner_id": ObjectId,
                "process_id": ObjectId,
                "job_id": lambda: start_job(KINDS["moves"], f"{ObjectId()}", "", a_context()).id,
            }[name]()
        )

    def _a_bulk_of_it(self):
        chosen, arguments = [str(self.organization.id)], {"text": "Called."}
        planned = bulk.plan_these("note", arguments, chosen, RequestContext(OPERATOR))
        return bulk.start_bulk(planned.id, 1, RequestContext(OPERATOR)).id

    def _a_key_of_it(self):
        there = {key.id for key in managing.keys_of(self.organization)}
        a_key(self.organization)
        [added] = {key.id for key in managing.keys_of(self.organization)} - there
        return added

    def _an_operator(self):
        account = an_account(f"{ObjectId()}@portal.example")
        return account.modify(set__operator_role=OperatorRole.SUPPORT) and account.id

    def _a_view_of_it(self):
        words = {"name": f"{ObjectId()}", "name_key": f"{ObjectId()}", "query": "sort=title"}
        view = DocumentView(organization=self.organization.id, **words, created_at=clock.now())
        return view.save().id

    def _a_credential_of_it(self):
        a_credential(self.organization)
        return Credential.objects.order_by("-id").first().id

    def _an_edit_of_it(self):
        access = operator_access(self.organization)
        writing.insert_documents(access, [bson.encode({"_id": ObjectId()})], None)
        return list_edits(self.organization).rows[0].id

    def _a_file_of(self, role, purpose):
        """One that they uploaded, or asked for."""
        account = Account.objects(email=email_of(role)).first()
        access = replace(operator_access(self.organization), context=a_context(account))
        if purpose == Purpose.EXPORT:
            options = WriteOptions(Format.BSON)
            return start_export(access, Query(), options, "all documents").file.id
        file = begin_upload(access, "orders.jsonl", size_bytes=3)
        put_stream(access, file, [b"{}\n"])
        return finish_upload(access, file, 3).file.id

    def _an_invitation_of_it(self, role):
        inviter = a_member(self.organization, Role.ADMIN, f"{ObjectId()}@ann.example")
        return an_invitation(self.organization, inviter, email_of(role)).id


def a_grant_of(organization):
    """Support access that is over; any operator may see it."""
    return SupportGrant(
        organization=organization.id,
        state=GrantState.ENDED,
        reason=f"why {ObjectId()}",
        hours=1,
        with_documents=False,
        asked_at=clock.now(),
        ended_at=clock.now(),
    ).save()


def _send(program, method, address, body):
    """Send a file, or a part of one."""
    return program.ask(method, address, data=body, content_type=OCTETS)


def documents():
    """All master data, by collection."""
    return {name: list(master_database()[name].find()) for name in filled(master_database())}


def collections():
    return {found["name"]: found["info"]["uuid"] for found in tenant_database().list_collections()}


def email_of(role):
    return f"{role}@acme.example".replace(" ", "-").replace("'", "")


@pytest.fixture(scope="module")
def worlds():
    """The one that the cases of this module share, if it stands."""
    return []


@pytest.fixture(autouse=True)
def empty_database():
    """A world that stands is left alone."""


@pytest.fixture
def world(app, empty, worlds):
    """As it was made, whatever was asked before."""

    def there():
        if not worlds:
            empty()
            worlds.append(World(app))
        return worlds[0]

    return there


@pytest.fixture
def ask(worlds):
    """Ask by a function of the world, and have all be as it was. What is refused changes nothing,
    as ``test_fuzz`` says."""

    def ask(how, method, *what):
        [world] = worlds
        worlds.clear()
        answer = how(method, *what)
        stranger_led_away = NOBODY in what and outcome(answer) == LOG_IN
        unchanged = method == "GET" or answer.status_code >= 400 or stranger_led_away
        if unchanged or world.restore():
            worlds.append(world)
        return answer

    return ask


def each_with(routes, tried_of, all_of):
    """Each route with those who are tried by default, and with the others by make faults."""
    for route in routes:
        tried = tried_of(route)
        others = [one for one in all_of(route) if one not in tried]
        yield pytest.param(route, tried, id=route)
        if others:
            yield pytest.param(route, others, id=f"{route}, others", marks=pytest.mark.full)


def roles_of(route):
    return CONSOLE_ROLES if ROUTES[route] in CONSOLE else ROLES_AND_NONE


def tried_roles(route):
    """Of roles in a row that are to be answered alike the first that gets in, or the last that
    doesn't."""
    rows = groupby(roles_of(route), partial(expected_of, route))
    return [list(alike)[0 if expected == IN else -1] for expected, alike in rows]


@pytest.mark.attack("T3")
@pytest.mark.slow  # all of them
@pytest.mark.parametrize(("route", "roles"), [*each_with(ROUTES, tried_roles, roles_of)])
def test_who_gets_in_is_what_the_tables_say(world, ask, route, roles):
    method, rule = route.split()

    def outcome_for(role):
        there = world()
        api = rule.split("/")[1] in ("org", "auth", "admin")
        how = there.ask_api if api else there.ask_page
        return outcome(ask(how, method, there.fill(rule, role), BODIES.get(route), role))

    assert {role: outcome_for(role) for role in roles} == {
        role: expected_of(route, role) for role in roles
    }


def expected_by_key(route, kind):
    need = ROUTES[route]
    if need in CONSOLE:
        return NOT_FOUND
    # As far as the body of a sign-up, which is empty.
    if route == "POST /org/create" or (need in (PUBLIC, KNOWN) and kind != PROVISIONING):
        return IN
    if PROVISIONING in (kind, need):
        return IN if kind == need else FORBIDDEN
    of_another = "/by-id/" in route  # the id is that of an organization that is none of theirs
    if need == PERSON or (of_the_trash(route) and not of_another):
        return FORBIDDEN
    if kind == FOREIGN_KEY or of_another:
        return NOT_FOUND
    may = of_api_key(Role.VIEWER if kind == VIEWER_KEY else Role.ADMIN)
    return IN if need in may else FORBIDDEN


def tried_keys(route):
    """Of the kinds that are to be answered alike the last, but the first that gets in."""
    tried = {}
    for kind in KEYS:
        expected = expected_by_key(route, kind)
        tried[expected] = tried.get(IN, kind) if expected == IN else kind
    return list(tried.values())


@pytest.mark.attack("T1", "T3")
@pytest.mark.slow
@pytest.mark.parametrize(("route", "kinds"), [*each_with(API, tried_keys, lambda route: KEYS)])
def test_what_a_key_gets_into_is_what_the_tables_say(app, world, ask, route, kinds):
    method, rule = route.split()
    body = BODIES.get(route, {}) if method != "GET" else None

    def outcome_for(kind):
        there = world()
        program = Program(app, there.keys[kind])
        how = partial(_send, program) if isinstance(body, bytes) else program.ask
        answer = ask(how, method, there.fill(rule, NOBODY), body)
        if answer.status_code == FORBIDDEN and kind in (VIEWER_KEY, ADMIN_KEY):
            code, told = answer.json["error"]["code"], answer.json["error"]["message"]
            assert code in ("person_needed", "provisioning_required") or ROUTES[route] in told
        if (kind == ADMIN_KEY and answer.status_code == FORBIDDEN) or kind == FOREIGN_KEY:
            assert Organization.objects.get(id=there.organization.id).name == "Acme Corp"
        return outcome(answer)

    assert {kind: outcome_for(kind) for kind in kinds} == {
        kind: expected_by_key(route, kind) for kind in kinds
    }


def outcome(answer):
    assert answer.status_code < 500
    if answer.status_code in (FORBIDDEN, NOT_FOUND):
        return answer.status_code
    to_log_in = answer.status_code == 303 and answer.location.startswith("/login")
    told = answer.is_json and answer.status_code == 401
    unknown = told and answer.json["error"]["code"] == "not_authenticated"
    return LOG_IN if to_log_in or unknown else IN
