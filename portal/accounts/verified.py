"""What an account may do only when its address is verified.

Before that it may be anybody's who typed the address. So no mail leaves in its name to people
outside, and no second factor is added, which the first proof of the address would take away.
"""

from portal.accounts.sessions import Principal
from portal.documents.accounts import Account
from portal.errors import AddressNotVerified


def require_verified(who: Account | Principal) -> None:
    """Raise AddressNotVerified unless the address is verified.

    A service asks this of an account that was read in the transaction which writes; a page asks it
    of who is logged in, so as to offer nothing that is refused then.
    """
    if not who.verified:
        raise AddressNotVerified(who.email)
