"""supervisord's own configuration: the daemon's file, and one file a program.

Its values are read twice over: percent signs are expanded, and words are split as by a shell, with
escapes in a command but without any in an environment.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CHILD = Path(__file__).with_name("child.py")
LOG_BYTES = 10_000_000


@dataclass(frozen=True)
class Program:
    """A process to keep alive. `env` may hold secrets: the file it is written to is 0600."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    directory: Path
    stop_seconds: int = 10


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def _quote_value(text: str) -> str:
    """One environment value: read by shlex without escapes, so the quote must not occur in it."""
    return f"'{_escape(text)}'" if '"' in text else f'"{_escape(text)}"'


def _has_both_quotes(text: str) -> bool:
    """Such a value (a path, never one of our secrets) goes through child.py, for want of an escape."""
    return '"' in text and "'" in text


def _quote(text: str) -> str:
    """One word of a command, which is read by shlex with escapes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_escape(escaped)}"'


def program_conf(program: Program, logs: Path) -> str:
    values = sorted(program.env.items())
    aside = [word for key, value in values if _has_both_quotes(value) for word in ("--env", f"{key}={value}")]
    argv = [sys.executable, "-S", "-E", str(CHILD), *aside, *program.argv]
    environment = ",".join(
        f"{key}={_quote_value(text)}" for key, text in values if not _has_both_quotes(text)
    )
    return "\n".join(
        [
            f"[program:{program.name}]",
            f"command={' '.join(_quote(word) for word in argv)}",
            f"directory={_escape(str(program.directory))}",
            f"environment={environment}",
            "autostart=true",
            "autorestart=true",
            "startsecs=1",
            "startretries=3",
            f"stopwaitsecs={program.stop_seconds}",
            "stopasgroup=true",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={_escape(_escape(str(logs / (program.name + '.log'))))}",
            f"stdout_logfile_maxbytes={LOG_BYTES}",
            "stdout_logfile_backups=1",
            "",
        ]
    )


def daemon_conf(run: Path, socket_path: Path) -> str:
    return "\n".join(
        [
            "[supervisord]",
            "nodaemon=true",
            f"logfile={_escape(str(run / 'supervisord.log'))}",
            f"pidfile={_escape(str(run / 'supervisord.pid'))}",
            "identifier=lockstep",
            "umask=077",
            "[unix_http_server]",
            f"file={_escape(str(socket_path))}",
            "chmod=0600",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
            "[include]",
            "files=conf.d/*.conf",
            "",
        ]
    )
