"""From a principal to an operator: the only way into the console."""

from dataclasses import dataclass

from bson import ObjectId

from portal.identity.sessions.principals import AccountPrincipal, Principal
from portal.operators.errors import NoOperator, OperatorForbidden, OperatorSecondFactorRequired
from portal.permissions import OPERATOR_ROLES
from portal.web.context import AuditActor, RequestContext

SHOWN_AS = "the operator"
"""The name of every operator in the audit trails of organizations."""


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator at work. ``context`` is that of the request, acting as the operator: services
    that take it ask for no membership, and the audit trail says “by the operator”."""

    id: ObjectId
    name: str
    role: str
    permissions: frozenset[str]
    context: RequestContext

    def can(self, permission: str) -> bool:
        """True if the operator has the permission."""
        return permission in self.permissions

    def require(self, permission: str) -> None:
        """Raise OperatorForbidden unless the operator has the permission."""
        if not self.can(permission):
            raise OperatorForbidden(permission, self.role)


def operator_of(principal: Principal, permission: str, context: RequestContext) -> Operator:
    """The operator that the principal is, who has the ``permission``.

    Raises NoOperator, OperatorSecondFactorRequired, OperatorForbidden.
    """
    if not isinstance(principal, AccountPrincipal) or principal.operator_role not in OPERATOR_ROLES:
        raise NoOperator
    if not principal.has_second_factor:
        raise OperatorSecondFactorRequired
    actor = AuditActor(
        kind="operator",
        id=principal.account_id,
        name=SHOWN_AS,
        session=principal.public_session_id,
    )
    operator = Operator(
        principal.account_id,
        principal.email,
        principal.operator_role,
        OPERATOR_ROLES[principal.operator_role],
        context.acting_as(actor),
    )
    operator.require(permission)
    return operator
