"""Shape and indexes of master data, a module per noun; no behaviour.

Documents ignore unknown fields (``strict``), so that this version can run beside a newer one.
"""
