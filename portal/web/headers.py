"""Headers that every page, JSON answer and static file carries, errors included."""

from flask import Flask, Response

from portal.settings import Settings

_SOURCES = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
)
_TRUSTED_TYPES = ("require-trusted-types-for 'script'", "trusted-types 'none'")
POLICY = "; ".join(_SOURCES + _TRUSTED_TYPES)
# For the one page whose library makes strings into markup.
POLICY_WITHOUT_TRUSTED_TYPES = "; ".join(_SOURCES)


def headers(settings: Settings) -> dict[str, str]:
    """What protects every answer of this portal."""
    protecting = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    }
    if settings.https:
        protecting["Strict-Transport-Security"] = "max-age=31536000"
    return protecting


def init_app(app: Flask, settings: Settings) -> None:
    """Send the headers; keep every page out of caches, since each may hold somebody's data."""
    protecting = headers(settings)

    def harden(response: Response) -> Response:
        for name, value in protecting.items():
            response.headers.setdefault(name, value)
        response.headers["Cache-Control"] = "no-store"
        return response

    app.after_request(harden)
