"""Headers of every page, JSON response and static file, errors included."""

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
# For the one page whose library turns strings into markup.
POLICY_WITHOUT_TRUSTED_TYPES = "; ".join(_SOURCES)


def headers(settings: Settings) -> dict[str, str]:
    """The security headers of every response."""
    security_headers = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    }
    if settings.https:
        security_headers["Strict-Transport-Security"] = "max-age=31536000"
    return security_headers


def init_app(app: Flask, settings: Settings) -> None:
    """Send the headers, and keep pages out of caches, since each may hold personal data."""
    security_headers = headers(settings)

    def harden(response: Response) -> Response:
        given = {name.lower() for name, _ in response.headers}
        response.headers["Cache-Control"] = "no-store"
        response.headers.extend(
            [(name, value) for name, value in security_headers.items() if name.lower() not in given]
        )
        return response

    app.after_request(harden)
