"""The listing of all organizations: fed from master data, searched, filtered and sorted."""
