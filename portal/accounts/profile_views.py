"""Pages of one's own account."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal.accounts.documents import Account

blueprint = Blueprint("account", __name__, url_prefix="/account")


@blueprint.get("")
@login_required
def profile() -> ResponseReturnValue:
    account = Account.objects.get(id=current_user.account_id)
    return render_template("accounts/profile.html", account=account)
