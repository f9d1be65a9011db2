"""The documents of organizations, for programs: Extended JSON in and out, raw BSON inside."""
