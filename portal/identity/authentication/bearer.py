"""The API's name for ``issue_bearer_token``, until it calls that."""

from portal.identity.authentication.authenticate import issue_bearer_token as token_of

__all__ = ["token_of"]
