"""The shape and the indexes of master data, a module per noun; no behaviour.

Documents ignore fields they do not know (``strict``), so that this version runs beside a newer one.
"""
