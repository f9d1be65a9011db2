"""Whether an account's address is really its owner's: whether they read what is sent there."""

from portal import clock
from portal.accounts import passwords
from portal.accounts.documents import Account, Session
from portal.audit.documents import Origin
from portal.audit.trail import record
from portal.database import transaction
from portal.factors import inventory


def prove_address(account: Account, password: str, origin: Origin) -> Account:
    """Note that who asks reads the mailbox of the account's address: they followed a link that was
    sent there. The account as it is then.

    The first time, whoever used the account before may be somebody else who typed that address. So
    all sessions and tokens end, second factors, recovery codes and known browsers go, and
    ``password`` is the account's from then on. Raises WeakPassword where it is neither the
    account's already nor may be chosen, Overloaded. Later nothing changes.
    """
    if account.verified_at:
        return account
    kept = passwords.verify_password(password, account.password_hash)
    if not kept:
        passwords.check_password(password, account.email)
    password_hash = account.password_hash if kept else passwords.hash_password(password)

    def body() -> Account:
        now = clock.now()
        changes = {"verified_at": now, "password_hash": password_hash, "has_second_factor": False}
        if not kept:
            changes["password_changed_at"] = now
        proved = Account.objects(id=account.id, verified_at=None).modify(
            new=True, **{f"set__{name}": value for name, value in changes.items()}
        )
        if proved is None:  # by another request, at the same time
            return Account.objects.get(id=account.id)
        Session.objects(account=account.id).delete()
        inventory.forget_all(account.id)
        record(proved, "account.address_verified", origin)
        return proved

    return transaction(body)
