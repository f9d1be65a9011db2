"""Moving an organization's documents to another place while they are written: what touches data.

The portal's alone, and not in the wheel.
"""
