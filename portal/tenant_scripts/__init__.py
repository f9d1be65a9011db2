"""Scripts that are applied to the documents of all organizations, or of some, in waves."""

from portal.tenant_scripts.validators import set_validator

__all__ = ["set_validator"]
