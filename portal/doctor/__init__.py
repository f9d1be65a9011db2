"""The doctor: compares master data with what is in the tenant database, and mends what is safe."""
