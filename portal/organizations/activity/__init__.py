"""An organization's audit trail as pages and files, and refused changes in it."""
