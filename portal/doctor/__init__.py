"""The doctor: compares master data with the tenant database, and repairs what is safe."""
