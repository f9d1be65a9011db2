"""From a principal to an operator: the only way into the console."""

from dataclasses import dataclass, replace

from bson import ObjectId

from portal.identity.sessions.errors import ActingBySupport
from portal.identity.sessions.principals import (
    AccountPrincipal,
    OperatorPrincipal,
    Principal,
    SupportPrincipal,
)
from portal.operators.errors import NoOperator, OperatorForbidden, OperatorSecondFactorRequired
from portal.permissions import OPERATOR_ROLES
from portal.web.context import OPERATOR, RequestContext


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator at work: a person, or a program by an operators' key. ``context`` is that of the
    request, acting as the operator: services that take it ask for no membership, and the audit
    trail says “by the operator”, with this ``id``."""

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

    Raises ActingBySupport, NoOperator, OperatorSecondFactorRequired, OperatorForbidden.
    """
    if isinstance(principal, OperatorPrincipal):
        operator = _by_key(principal, context)
    elif isinstance(principal, AccountPrincipal) and principal.operator_role in OPERATOR_ROLES:
        operator = _by_account(principal, context)
    elif isinstance(principal, SupportPrincipal):
        raise ActingBySupport
    else:
        raise NoOperator
    operator.require(permission)
    return operator


def _by_account(principal: AccountPrincipal, context: RequestContext) -> Operator:
    if not principal.has_second_factor:
        raise OperatorSecondFactorRequired
    actor = replace(OPERATOR, id=principal.account_id, session=principal.public_session_id)
    return Operator(
        principal.account_id,
        principal.email,
        principal.operator_role,
        OPERATOR_ROLES[principal.operator_role],
        context.acting_as(actor),
    )


def _by_key(principal: OperatorPrincipal, context: RequestContext) -> Operator:
    return Operator(
        principal.id,
        principal.name,
        principal.role,
        OPERATOR_ROLES[principal.role],
        context.acting_as(principal.audit_actor),
    )
