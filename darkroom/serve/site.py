"""Django, set up for this one application: no data base, no sessions, no files."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from darkroom.serve.options import LOOPBACK, Options
from darkroom.serve.service import Service

YEAR = 31_536_000


def secret_key(path: Path | None = None) -> str:
    """The key that signs; made at the first start and kept where only its user reads it."""
    state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    path = path or state / "darkroom/serve-secret-key"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        key = secrets.token_urlsafe(64)
        file.write(key)
    return key


def settings_of(options: Options, key: str) -> dict[str, Any]:
    """Django's settings."""
    return {
        "DEBUG": False,
        "SECRET_KEY": key,
        "ALLOWED_HOSTS": [*LOOPBACK, *options.allowed],
        "CSRF_TRUSTED_ORIGINS": [f"https://{name}" for name in options.allowed if options.https],
        "ROOT_URLCONF": "darkroom.serve.urls",
        "INSTALLED_APPS": [],
        "USE_I18N": False,
        "USE_TZ": True,
        "APPEND_SLASH": False,
        "LOGGING_CONFIG": None,
        "MIDDLEWARE": [
            "darkroom.serve.middleware.guard",
            "django.middleware.security.SecurityMiddleware",
            "django.middleware.common.CommonMiddleware",
            "darkroom.serve.middleware.Sentences",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "DIRS": [str(Path(__file__).parent / "page")],
                "OPTIONS": {"context_processors": ["django.template.context_processors.csrf"]},
            }
        ],
        "FILE_UPLOAD_HANDLERS": ["darkroom.serve.uploads.InMemory"],
        "DATA_UPLOAD_MAX_MEMORY_SIZE": options.request_bytes,
        "DATA_UPLOAD_MAX_NUMBER_FIELDS": 100,
        "DATA_UPLOAD_MAX_NUMBER_FILES": 1000,
        "CSRF_COOKIE_HTTPONLY": True,
        "CSRF_COOKIE_SAMESITE": "Strict",
        "CSRF_COOKIE_SECURE": options.https,
        "CSRF_FAILURE_VIEW": "darkroom.serve.urls.forged",
        "SECURE_CONTENT_TYPE_NOSNIFF": True,
        "SECURE_REFERRER_POLICY": "same-origin",
        "SECURE_CROSS_ORIGIN_OPENER_POLICY": "same-origin",
        "SECURE_HSTS_SECONDS": YEAR if options.https else 0,
        "SECURE_HSTS_INCLUDE_SUBDOMAINS": options.https,
        "SECURE_HSTS_PRELOAD": options.https,
        "SECURE_SSL_REDIRECT": options.https,
        "SECURE_REDIRECT_EXEMPT": [r"^healthz$", r"^readyz$", r"^metrics$"],
        "X_FRAME_OPTIONS": "DENY",
    }


def application(service: Service, key: str) -> Any:
    """The application, for a WSGI server. Once in a process."""
    import django
    from django import db
    from django.conf import settings
    from django.core import cache
    from django.core.signals import request_finished, request_started
    from django.core.wsgi import get_wsgi_application

    settings.configure(**settings_of(service.options, key), SERVICE=service)
    django.setup(set_prefix=False)
    request_started.disconnect(db.reset_queries)  # there is no data base and no cache to tidy up
    request_started.disconnect(db.close_old_connections)
    request_finished.disconnect(db.close_old_connections)
    request_finished.disconnect(cache.close_caches)
    return get_wsgi_application()


def log_to(stream: Any = sys.stderr) -> None:
    """A line of JSON for each request, and plain sentences for what goes wrong."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    requests = logging.getLogger("darkroom.serve.requests")
    requests.setLevel(logging.INFO)
    requests.propagate = False
    requests.handlers = [handler]
    logging.getLogger("django").setLevel(logging.ERROR)  # refusals are in the lines above
    logging.getLogger("django.request").addFilter(lambda record: bool(record.exc_info))
    logging.getLogger("django.security").setLevel(logging.CRITICAL)
