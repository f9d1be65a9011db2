"""Actions of operators on many organizations: frozen and counted first, then done one by one."""
