"""The same services for programs: JSON in and out, a bearer token instead of a cookie."""
