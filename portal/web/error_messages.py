"""Messages of plain HTTP errors; the errors of services carry their own."""

# Status: code, title, and what to do.
ERROR_MESSAGES = {
    400: ("bad_request", "The request can’t be understood", "Go back, reload the page, and try again. Nothing was changed."),
    403: ("forbidden", "You may not do this", "Your account lacks the permission. Nothing was changed."),
    404: ("not_found", "Nothing is at this address", "Check the URL, or start from your organizations."),
    405: ("method_not_allowed", "This address can’t be used like that", "Go back and use the buttons of the page. Nothing was changed."),
    408: ("too_slow", "The request took too long to arrive", "Send it again, in smaller parts if your connection is slow."),
    409: ("conflict", "This was changed meanwhile", "Reload the page to see how it is now. Nothing was changed."),
    411: ("length_required", "The request has no length", "Send it with a Content-Length header. Nothing was changed."),
    413: ("too_large", "This is too large", "What you sent is larger than anything the portal needs. Shorten it and send it again."),
    415: ("unsupported_media_type", "This kind of content can’t be read", "Send it as a form does: application/x-www-form-urlencoded. Nothing was changed."),
    429: ("too_many_tries", "Too many tries", "Wait a minute, then try again. Nothing was changed."),
    500: ("internal_error", "Something broke on our side", "It was logged under the request’s number. Try again; if it persists, give that number to whoever runs the portal."),
    503: ("unavailable", "The portal can’t work right now", "Try again in a few seconds."),
}  # fmt: skip

# For programs, where different.
API_MESSAGES = {
    400: "The request can’t be understood. Nothing was changed.",
    404: "Nothing is at this address: /docs lists what there is.",
    405: "This address doesn’t support the method: the Allow header lists those that it does. Nothing was changed.",
    408: "The body arrived too slowly. What an answer or a batch of it acknowledged before is kept.",
    415: "Send it as application/json, or as application/x-ndjson where documents are sent, not encoded. Nothing was changed.",
}

NOT_IN_CONSOLE = "Search for an organization by name, slug, e-mail or id: those in the trash are found too, and those that were purged."

FORM_EXPIRED = (
    "form_expired",
    "This form is no longer valid",
    "It was opened before you logged in or out, or in another browser. Go back, reload the page, and send it again. Nothing was changed.",
)
