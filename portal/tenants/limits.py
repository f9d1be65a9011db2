"""Bounds of time and size that the library promises."""

OPERATION_SECONDS = 20
# A client that was killed in a transaction keeps its locks; the others' wait must be bounded.
TRANSACTION_SECONDS = 5
# To tell the server that one is over, beyond the time of the caller, who waits for it.
ENDING_SECONDS = 0.7
INDEX_SECONDS = 3600
CREATION_SECONDS = 5
# Half a second is much for a switch; whoever takes over from a process that died needs ten.
MOVING_SECONDS = 15
# A rename waits for a batch's transaction, and other writes wait for the rename.
BATCH_DOCUMENTS = 500
BATCH_BYTES = 8 * 1024 * 1024
# The server forgets a session after 30 minutes without use.
SESSION_SECONDS = 300
# Firewalls and balancers forget a connection that nobody uses, clouds' after four minutes, and a
# process that is frozen hears of no end: so an older one isn't used again.
IDLE_SECONDS = 120
MAX_ENTRIES = 100_000
# Of organizations that nobody has: beyond so many at once, look-ups wait, each for this at most.
MISSES_AT_ONCE, MISSES_A_SECOND, MISS_SECONDS = 500, 250, 1
MAX_STREAMS = 50
