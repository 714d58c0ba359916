"""Headers that tell browsers to run nothing but the service's own files, and caches to keep nothing of ears."""

from __future__ import annotations

NOWHERE = "default-src 'none'; frame-ancestors 'none'"
PAGE = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
EVERYWHERE = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(self), microphone=(), geolocation=()"),
)
HTTPS_ONLY = ("Strict-Transport-Security", "max-age=31536000")
OF_PAGE = (*EVERYWHERE, ("Content-Security-Policy", PAGE))
OF_API = (*EVERYWHERE, ("Content-Security-Policy", NOWHERE), ("Cache-Control", "no-store"))


def security_headers(path: str, https_only: bool) -> tuple[tuple[str, str], ...]:
    """The headers of an answer; a route that set one itself keeps its own. https_only: for a year, in browsers."""
    headers = OF_PAGE if path == "/" or path.startswith(("/page/", "/docs")) else OF_API
    return (*headers, HTTPS_ONLY) if https_only else headers
