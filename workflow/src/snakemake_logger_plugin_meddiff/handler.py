"""The plug-in: which of Snakemake's messages are shown, and how."""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

if TYPE_CHECKING:
    from snakemake_logger_plugin_meddiff.follower import Follower

# Said at every start, and telling nobody anything.
_NOISE = ("Assuming unrestricted shared filesystem usage", "Config file config/config.yaml is extended")
# An error that the workflow found itself: its place in our code and the traceback help nobody.
_TOLD = "in told_by_snakemake"
_PLACE = re.compile(r"^(\w*(Error|Exception) in file .*, line \d+:|  File \".*\", line \d+.*)$")


class LogHandler(LogHandlerBase):
    """Shows a run in few lines; all else (dry runs, ``--lint``, ``--summary`` ...) as Snakemake does."""

    def __post_init__(self) -> None:
        self._usual = _usual_handler(self.common_settings)
        self._stream = sys.stderr
        self._follower: Follower | None = None
        self._experiment: dict[str, str] | None = None
        self._usual_only = bool(
            self.common_settings.dryrun or self.common_settings.verbose or self.common_settings.debug_dag
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Show one message. If that fails, it and all that follow are shown as Snakemake does."""
        try:
            self._show(record)
        except (KeyboardInterrupt, SystemExit):
            raise
        except Exception:  # a fault here must not hide what a run says
            self._leave()
            self._usual_only = True
            self.handleError(record)
            self._usual.handle(record)

    def close(self) -> None:
        """The end of the run: its last words."""
        self._leave()
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        return True

    @property
    def writes_to_file(self) -> bool:
        return False

    @property
    def has_filter(self) -> bool:
        return True

    @property
    def has_formatter(self) -> bool:
        return True

    @property
    def needs_rulegraph(self) -> bool:
        return False

    def _show(self, record: logging.LogRecord) -> None:
        self._experiment = getattr(record, "meddiff_experiment", self._experiment)
        event = getattr(record, "event", None)
        if event == LogEvent.ERROR:
            record.msg = plain_error(str(record.msg))
        if event == LogEvent.WORKFLOW_STARTED and not self._usual_only:
            self._follower = self._follow(record)
        elif self._follower is not None:
            self._follower.take(record)
        elif self._usual_only or not str(record.msg).startswith(_NOISE):
            self._usual.handle(record)

    def _follow(self, record: logging.LogRecord) -> Follower:
        from snakemake_logger_plugin_meddiff.follower import Follower
        from snakemake_logger_plugin_meddiff.screen import screen

        quiet = {str(getattr(kind, "value", kind)) for kind in self.common_settings.quiet or ()}
        shown = screen(
            self._stream, quiet=bool(quiet & {"all", "progress"}), colours=not self.common_settings.nocolor
        )
        return Follower(shown, self._usual, self._experiment, record.created, self.common_settings)

    def _leave(self) -> None:
        if self._follower is not None:
            follower, self._follower = self._follower, None
            follower.end()


def plain_error(text: str) -> str:
    """Snakemake's text of an error, without places in the code if the workflow told a user of a mistake."""
    if _TOLD not in text:
        return text
    return "Error: " + "\n".join(line for line in text.splitlines() if not _PLACE.match(line))


def _usual_handler(settings: Any) -> logging.Handler:
    """What Snakemake shows messages with where no plug-in does."""
    from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter

    handler = ColorizingTextHandler(
        nocolor=settings.nocolor, stream=sys.stdout if settings.stdout else sys.stderr
    )
    handler.setFormatter(DefaultFormatter(settings.quiet, settings.show_failed_logs))
    handler.addFilter(
        DefaultFilter(
            settings.quiet,
            settings.debug_dag,
            settings.verbose,
            settings.dryrun,
            settings.printshellcmds,
        )
    )
    return handler
