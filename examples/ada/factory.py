"""`create_app` puts ADA together."""

from __future__ import annotations

import logging
import logging.config

import structlog
from flask import Flask

from . import auth, chat, errors, files, pages, shop
from .cache import Cache
from .database import Database
from .realtime import create_socketio
from .settings import DEVELOPMENT_SECRET_KEY, Settings, SettingsError

logger = logging.getLogger(__name__)


def create_app(settings: Settings | None = None) -> Flask:
    """A new ADA app. Neither the database, Redis nor the AI has to be there yet.

    Args:
        settings: Default: read from the environment.

    Raises:
        SettingsError: a setting cannot be used; the text says which, and what would be right.
    """
    settings = settings or Settings.from_env()
    _configure_logging(settings)
    app = Flask(__package__ or __name__)
    app.config.update(
        ADA=settings,
        SECRET_KEY=settings.secret_key,
        MAX_CONTENT_LENGTH=settings.max_upload_bytes,
        SESSION_COOKIE_NAME="ada_session",
        SESSION_COOKIE_SAMESITE="Lax",
    )
    if settings.secret_key == DEVELOPMENT_SECRET_KEY:
        logger.warning("SECRET_KEY is not set: anyone can forge sessions; fine on a laptop only")
    app.extensions["ada.database"] = Database(settings)
    app.extensions["ada.cache"] = Cache(settings)
    for module in (auth, chat, files, pages, shop):
        app.register_blueprint(module.blueprint)
    errors.install(app)
    create_socketio(app, settings)
    app.extensions["ada.database"].try_to_prepare()
    return app


def _configure_logging(settings: Settings) -> None:
    """Logs to the console, as a team without telemetry would have them; structlog goes through the stdlib."""
    if settings.log_level not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
        raise SettingsError(
            f"LOG_LEVEL={settings.log_level!r} is no level; use DEBUG, INFO, WARNING, ERROR or CRITICAL"
        )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "plain": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": [
                        structlog.stdlib.add_log_level,
                        structlog.stdlib.add_logger_name,
                        structlog.stdlib.ExtraAdder(),
                        structlog.processors.TimeStamper(fmt="iso"),
                    ],
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        # Not rich's traceback: it is slow, and shows the values of all locals.
                        structlog.dev.ConsoleRenderer(
                            colors=False, exception_formatter=structlog.dev.plain_traceback
                        ),
                    ],
                }
            },
            "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
            "root": {"level": settings.log_level, "handlers": ["console"]},
        }
    )
    # Whoever configured structlog before us, from outside, meant it.
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.filter_by_level,
                structlog.processors.StackInfoRenderer(),
                # The fields travel as `extra`: none may be called like a LogRecord's own (name, filename …).
                structlog.stdlib.render_to_log_kwargs,
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
            cache_logger_on_first_use=True,
        )
