"""Audit events in words."""

from collections.abc import Mapping
from itertools import groupby

from portal.bidi import isolated
from portal.permissions import in_words

WORDS = {
    "access.refused": "Refused: {permission}, as {role}",
    "account.address_asked": "Asked to change the address to {target}",
    "account.address_changed": "Address changed to {target}",
    "account.address_verified": "Address verified",
    "account.all_sessions_ended": "All sessions ended: {count}",
    "account.app_added": "Authenticator app set up",
    "account.app_removed": "Authenticator app removed",
    "account.app_replaced": "Authenticator app replaced",
    "account.blocked": "Account blocked",
    "account.browsers_forgotten": "Remembered browsers forgotten",
    "account.closed": "Account closed",
    "account.confirmed": "Confirmed by {factor}",
    "account.exported": "Exported what is stored of the account",
    "account.factors_kept": "Reset of second factors stopped",
    "account.factors_reset": "Second factors reset",
    "account.factors_reset_requested": "Reset of second factors asked for",
    "account.logged_in": "Logged in",
    "account.logged_out": "Logged out",
    "account.passkey_added": "Added {factor}",
    "account.passkey_removed": "Removed {factor}",
    "account.passkey_renamed": "Passkey “{name_before}” renamed to “{name}”",
    "account.password_changed": "Password changed",
    "account.password_recovered": "New password chosen by a mailed link",
    "account.profile_changed": "Profile changed",
    "account.recovery_code_used": "Recovery code used",
    "account.recovery_codes_made": "Recovery codes regenerated",
    "account.second_factor_asked": "Password given, second factor asked for",
    "account.session_ended": "Session ended",
    "account.sessions_ended": "Other sessions ended: {count}",
    "account.unblocked": "Account no longer blocked",
    "account.verification_sent": "Asked for another mail to verify the address",
    "application.added": "Application {name} added",
    "application.extended": "Application {name} given a MongoDB user on cluster {cluster}",
    "application.removed": "Application {name} removed",
    "application.user_dropped": "Left over MongoDB user {user} dropped",
    "application.rotated": "Application {name} given another MongoDB user",
    "application.rotation_finished": "Former MongoDB user of application {name} dropped",
    "cluster.added": "Cluster {name} added",
    "cluster.changed": "Cluster {name} changed",
    "cluster.lost": "Cluster {name} given up as lost",
    "cluster.removed": "Cluster {name} removed",
    "doctor.examination_asked": "Examination by the doctor asked for",
    "installation.epoch_begun": "Master data restored, applications told: epoch {epoch}",
    "installation.sessions_ended": "All sessions of all accounts ended: {count}",
    "operator.added": "Made {target} {role} in the console",
    "operator.changed": "Role of {target} in the console changed from {role_before} to {role}",
    "operator.link_made": "One-time link made for a new {role}",
    "operator.removed": "Removed {target} from the operators: was {role_before}",
    "operator_key.created": "Operators’ key “{name}” made: {role}",
    "operator_key.revoked": "Operators’ key “{name}” revoked",
    "person.blocked": "Blocked the account of {target}",
    "person.unblocked": "Unblocked the account of {target}",
    "placement_policy.set": "Placement policy changed to version {version}",
    "job.cancelled": "Job cancelled: {title}",
    "job.done": "Job done: {title}",
    "job.failed": "Job failed: {title}",
    "job.paused": "Job paused: {title}",
    "job.resumed": "Job resumed: {title}",
    "job.started": "Job started: {title}",
    "plan.limits_set": "Limits of the plan {plan} changed",
    "organization.counted_anew": "Recounted what it keeps: {documents} documents, {bytes} bytes",
    "organization.limit_near": "Near its limit of {allowed} {kind}, owners told: {used}",
    "organization.limits_set": "Limits changed",
    "organization.going_back": "Asked to go back from {place_before} to {place}",
    "organization.move_aborted": "Move to {place} aborted",
    "organization.move_declined": "Request of a move to {place} declined",
    "organization.move_given_up": "Move to {place} given up: {reason}",
    "organization.move_paused": "Move to {place} paused",
    "organization.move_requested": "Asked for a move to {place}",
    "organization.move_resumed": "Move to {place} resumed",
    "organization.move_started": "Move from {place_before} to {place} started",
    "organization.move_switched": "Time of the switch to {place} changed",
    "organization.move_throttled": "Speed of the move to {place} changed",
    "organization.move_withdrawn": "Request of a move to {place} withdrawn",
    "organization.moved": "Moved from {place_before} to {place}",
    "organization.went_back": "Went back from {place_before} to {place}",
    "organization.way_back_ended": "Way back to {place} ended",
    "organization.way_back_extended": "Way back to {place} kept until {until}",
    "organization.way_back_lost": "Way back to {place} lost: {reason}",
    "organization.created": "Organization created",
    "organization.external_set": "Known to other systems otherwise: {fields}",
    "organization.note_added": "Note kept",
    "organization.note_removed": "Note removed",
    "organization.documents_hidden": "Viewers may no longer read documents",
    "organization.documents_shared": "Viewers may read documents",
    "organization.operation_retried": "Tried again, after attempt {attempt}: {operation}",
    "organization.operation_undone": "Undone while it ran: {operation}",
    "organization.plan_set": "Plan or region set",
    "organization.purged": "Purged",
    "organization.rename_failed": "Rename to {name} undone: {reason}",
    "organization.renamed": "Renamed from {name_before} to {name}",
    "organization.restore_failed": "Restore as {name} undone: {reason}",
    "organization.restored": "Restored from the trash as {name}",
    "organization.second_factor_lifted": "Second factor no longer required",
    "organization.second_factor_required": "Second factor required from {starts_on}",
    "organization.slug_given_up": "Address {slug} given up to another organization",
    "organization.slug_reclaimed": "Address {slug} claimed again",
    "organization.collection_adopted": "Collection {collection} taken over, its own is gone",
    "organization.deletion_refused": "Deletion refused by a legal hold: {deletion}",
    "organization.hold_released": "Legal hold released",
    "organization.hold_set": "Legal hold set",
    "organization.suspended": "Suspended, {kind}: {cause}",
    "organization.suspension_failed": "Suspension undone: {reason}",
    "organization.suspension_lifted": "Suspension, {kind}, lifted",
    "organization.suspension_not_lifted": "Lifting of a suspension undone: {reason}",
    "organization.trash_failed": "Move to the trash undone: {reason}",
    "organization.trashed": "Moved to the trash",
    "member.left": "Left; was {role_before}",
    "member.removed": "Removed {target}, who was {role_before}",
    "member.role_changed": "Role of {target} changed from {role_before} to {role}",
    "ownership.accepted": "Accepted ownership from {target}",
    "ownership.declined": "Declined ownership from {target}",
    "ownership.lapsed": "Offer of ownership to {target} ended with the giver’s",
    "ownership.offered": "Offered ownership to {target}",
    "ownership.set": "Made {target} an owner",
    "ownership.withdrawn": "Offer of ownership to {target} withdrawn",
    "invitation.accepted": "{target} joined as {role}",
    "invitation.sent": "Invited {target} as {role}",
    "invitation.sent_again": "Invited {target} again, as {role}",
    "invitation.withdrawn": "Invitation of {target} withdrawn",
    "invitation.withdrawn_with_role": "Open invitations sent by {target} withdrawn: {count}",
    "mails.retried": "Mails that could not leave are tried at once: {count}",
    "process.forgotten": "Process {pid} on {host}, which had stopped, is told of no more",
    "view.changed": "View of documents changed, {whose}",
    "view.deleted": "View of documents deleted, {whose}",
    "view.saved": "View of documents saved, {whose}",
    "credential.created": "Credential “{name}” made: {reach}",
    "credential.prepared": "Credential “{name}” given a user on {cluster}, for the move there",
    "credential.overlap_ended": "Old user of credential “{name}” ended",
    "credential.revoked": "Credential “{name}” revoked",
    "credential.rotated": "Credential “{name}” given another user",
    "provisioning_key.created": "Provisioning key “{name}” made",
    "provisioning_key.revoked": "Provisioning key “{name}” revoked",
    "credential.taken_over": "Credential “{name}” taken over: its user had no record",
    "document.changed": "Document {document} changed: {fields}",
    "document.deleted": "Document {document} deleted",
    "document.inserted": "Document {document} inserted",
    "document.put_back": "Edit of document {document} undone",
    "document.several_inserted": "{count} documents inserted",
    "field.masked": "Field “{field}” made sensitive",
    "field.unmasked": "Field “{field}” made visible",
    "history.programs_not_recorded": "What programs write is no longer kept in the history",
    "history.programs_recorded": "What programs write is kept in the history",
    "index.created": "Index “{name}” built on {fields}",
    "index.dropped": "Index “{name}” dropped",
    "index.forgotten": "Failed build of index “{name}” forgotten",
    "index.hidden": "Index “{name}” hidden",
    "index.stopped": "Build of index “{name}” stopped",
    "index.unhidden": "Index “{name}” no longer hidden",
    "rules.changed": "Rules for documents put into force: {fields}",
    "rules.ended": "Rules for documents ended",
    "support.asked": "Asked for support access: {reason}",
    "support.declined": "Support access declined",
    "support.ended": "Support access ended",
    "support.entered": "Began to look by support access",
    "support.expired": "Support access expired",
    "support.granted": "Support access given for {hours} hours, {what}",
    "support.left": "Left support access",
    "support.seen": "Looked at {page}",
    "support.withdrawn": "Request for support access withdrawn",
    "key.created": "API key “{name}” made: {may}",
    "key.revoked": "API key “{name}” revoked",
    "key.rotated": "API key “{name}” given another secret",
}
"""By action; filled with the event's details and ``target``, the e-mail of its target."""

# In chains of accounts and of the installation, not of organizations.
_OTHER_GROUPS = (
    "account",
    "application",
    "cluster",
    "doctor",
    "installation",
    "operator",
    "operator_key",
    "mails",
    "person",
    "placement_policy",
    "process",
    "provisioning_key",
)


class _Details(dict):
    """Details of an event, with a gap for those that were erased or never recorded."""

    def __missing__(self, name: str) -> str:
        return "…"


def describe_event(action: str, details: Mapping[str, str], target_email: str | None) -> str:
    """The event as a short sentence; the bare action where only a newer version knows it."""
    filled = _Details(details, target=target_email or "somebody")
    for name in ("permission", "may"):
        if name in filled:
            filled[name] = in_words(filled[name].split(", "))
    filled = _Details({name: isolated(str(value)) for name, value in filled.items()})
    return WORDS[action].format_map(filled) if action in WORDS else action


def title_of(action: str) -> str:
    """The words for an action, with gaps for the details."""
    return WORDS[action].format_map(_Details())


def actions_by_group() -> list[tuple[str, list[tuple[str, str]]]]:
    """The actions in organizations' chains by group: (group, (action, title) pairs)."""
    titles = [(action, title_of(action)) for action in sorted(WORDS)]
    groups = groupby(titles, key=lambda pair: pair[0].split(".")[0])
    return [
        (name.replace("_", " ").capitalize(), list(pairs))
        for name, pairs in groups
        if name not in _OTHER_GROUPS
    ]
