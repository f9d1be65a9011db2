"""Headers that every answer carries, static files and errors included."""

from flask import Flask, Response, request

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}


def init_app(app: Flask) -> None:
    """Send the headers; keep every page out of caches, since each may hold somebody's data."""
    app.after_request(_harden)


def is_static() -> bool:
    """Whether the request is for a file that is the same for everybody."""
    return (request.endpoint or "").endswith("static")


def _harden(response: Response) -> Response:
    response.headers.update(HEADERS)
    if not is_static() or response.status_code >= 400:
        response.headers["Cache-Control"] = "no-store"
    return response
