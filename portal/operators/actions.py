"""The actions of operators, each in three ways: on a page, by the API, as a command."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """An action in ``words``, with the endpoint of its ``page``, the ``operationId`` of its call
    and its ``command`` behind ``flask``. One that ``destroys`` something, or touches many, can be
    planned first in each of the three."""

    name: str
    words: str
    page: str
    api: str
    command: str
    destroys: bool = False


ACTIONS = (
    OperatorAction(
        "rename",
        "Rename an organization",
        "operator_organizations.rename",
        "rename_organization_as_operator",
        "organizations rename",
        destroys=True,
    ),
    OperatorAction(
        "trash",
        "Move an organization to the trash",
        "operator_organizations.trash",
        "trash_organization_as_operator",
        "organizations trash",
        destroys=True,
    ),
    OperatorAction(
        "restore",
        "Restore an organization",
        "operator_organizations.restore",
        "restore_organization_as_operator",
        "organizations restore",
        destroys=True,
    ),
    OperatorAction(
        "purge",
        "Purge an organization",
        "operator_organizations.purge",
        "purge_organization_as_operator",
        "organizations purge",
        destroys=True,
    ),
    OperatorAction(
        "plan",
        "Set an organization’s plan and region",
        "operator_organizations.plan",
        "set_plan_as_operator",
        "organizations set",
    ),
    OperatorAction(
        "external",
        "Set an organization’s external id and metadata",
        "operator_organizations.metadata",
        "set_external_as_operator",
        "organizations metadata",
    ),
    OperatorAction(
        "owner",
        "Make somebody an owner",
        "operator_organizations.owner",
        "set_owner_as_operator",
        "organizations set-owner",
    ),
    OperatorAction(
        "note",
        "Keep a note",
        "operator_organizations.show_notes",
        "add_note",
        "organizations note",
    ),
    OperatorAction(
        "remove note",
        "Remove a note",
        "operator_organizations.remove_note",
        "remove_note",
        "organizations remove-note",
    ),
    OperatorAction(
        "ask for support access",
        "Ask for support access",
        "operator_support.ask",
        "ask_for_support_access",
        "support ask",
    ),
    OperatorAction(
        "end support access",
        "Withdraw a request for support access, or end it",
        "operator_support.give_back",
        "give_support_access_back",
        "support end",
    ),
    OperatorAction(
        "retry operation",
        "Try an operation again",
        "operator_overview.retry_operation",
        "retry_operation",
        "lifecycle retry",
    ),
    OperatorAction(
        "undo operation",
        "Undo an operation that runs",
        "operator_overview.undo_operation",
        "undo_operation",
        "lifecycle undo",
    ),
    OperatorAction(
        "pause job",
        "Pause a job",
        "operator_overview.pause_job",
        "pause_job",
        "jobs pause",
    ),
    OperatorAction(
        "resume job",
        "Resume a job",
        "operator_overview.resume_job",
        "resume_job",
        "jobs resume",
    ),
    OperatorAction(
        "cancel job",
        "End a job for good",
        "operator_overview.cancel_job",
        "cancel_job",
        "jobs cancel",
    ),
    OperatorAction(
        "retry mails",
        "Try mails again that could not leave",
        "operator_overview.retry_mails",
        "retry_mails",
        "mail retry",
    ),
    OperatorAction(
        "examine",
        "Have the doctor examine all",
        "operator_overview.examine",
        "examine_installation",
        "doctor",
    ),
    OperatorAction(
        "forget process",
        "Tell no more of a process that was killed",
        "operator_overview.forget_runner",
        "forget_process",
        "overview forget",
    ),
    OperatorAction(
        "placement policy",
        "Put a placement policy into force",
        "operator_overview.show_placement",
        "set_placement_policy",
        "placements policy set",
    ),
    OperatorAction(
        "set limits",
        "Set limits",
        "operator_usage.set_limits",
        "set_limits",
        "limits set",
    ),
    OperatorAction(
        "count anew",
        "Count anew what it keeps",
        "operator_usage.count",
        "count_anew",
        "limits count",
    ),
    OperatorAction(
        "set limits of a plan",
        "Set the limits of a plan",
        "operator_plans.set_limits",
        "set_plan_limits",
        "limits set-plan",
    ),
    OperatorAction(
        "suspend",
        "Suspend an organization",
        "operator_restrictions.suspend",
        "suspend_organization_as_operator",
        "restrictions suspend",
    ),
    OperatorAction(
        "lift",
        "Lift a suspension",
        "operator_restrictions.lift",
        "lift_suspension_as_operator",
        "restrictions lift",
    ),
    OperatorAction(
        "hold",
        "Set a legal hold",
        "operator_restrictions.set_hold",
        "hold_organization_as_operator",
        "holds set",
    ),
    OperatorAction(
        "release",
        "Release a legal hold",
        "operator_restrictions.release",
        "release_hold_as_operator",
        "holds release",
    ),
    OperatorAction(
        "add operator",
        "Add an operator",
        "operators.add",
        "add_operator",
        "operators create",
    ),
    OperatorAction(
        "change role",
        "Give an operator another role",
        "operators.change_role",
        "set_operator_role",
        "operators set-role",
    ),
    OperatorAction(
        "remove operator",
        "Remove an operator",
        "operators.remove",
        "remove_operator",
        "operators remove",
    ),
    OperatorAction(
        "make key",
        "Make an operators’ key",
        "operators.make_key",
        "create_operator_key",
        "operators create-key",
    ),
    OperatorAction(
        "revoke key",
        "Revoke an operators’ key",
        "operators.revoke_key",
        "revoke_operator_key",
        "operators revoke-key",
    ),
    OperatorAction(
        "end sessions",
        "End all sessions of a person",
        "operator_people.end_sessions",
        "end_sessions_of_person",
        "people end-sessions",
    ),
    OperatorAction(
        "reset factors",
        "Reset a person’s second factors",
        "operator_people.reset_factors",
        "reset_factors_of_person",
        "people reset-factors",
    ),
    OperatorAction(
        "keep factors",
        "Stop the reset of a person’s second factors",
        "operator_people.keep_factors",
        "keep_factors_of_person",
        "people keep-factors",
    ),
    OperatorAction(
        "block",
        "Block a person",
        "operator_people.block",
        "block_person",
        "people block",
    ),
    OperatorAction(
        "unblock",
        "Unblock a person",
        "operator_people.unblock",
        "unblock_person",
        "people unblock",
    ),
    OperatorAction(
        "bulk",
        "Plan an action on many organizations",
        "operator_bulk.plan",
        "plan_bulk",
        "bulk plan",
    ),
    OperatorAction(
        "start bulk",
        "Start an action on many organizations",
        "operator_bulk.start",
        "start_bulk",
        "bulk start",
    ),
    OperatorAction(
        "pause bulk",
        "Pause an action on many organizations",
        "operator_bulk.pause",
        "pause_bulk",
        "bulk pause",
    ),
    OperatorAction(
        "resume bulk",
        "Have an action on many organizations go on",
        "operator_bulk.resume",
        "resume_bulk",
        "bulk resume",
    ),
    OperatorAction(
        "cancel bulk",
        "Cancel an action on many organizations",
        "operator_bulk.cancel",
        "cancel_bulk",
        "bulk cancel",
    ),
)
"""Every action of operators. A test finds each in all three ways."""
