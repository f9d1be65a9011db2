"""The parts that travel with an organization beside what is kept with its documents."""

from portal.organizations.moving.kept_beside import KEPT_BESIDE
from portal.organizations.moving.write_records import WRITE_RECORDS

PORTAL_PARTS = (WRITE_RECORDS, KEPT_BESIDE)
"""The portal's own parts, carried out behind those of documents."""
