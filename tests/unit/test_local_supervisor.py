"""Processes that outlive a command, through a real supervisord and tiny programs."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lockstep.errors import Unavailable
from lockstep.local import procfs
from lockstep.local.probe import get
from lockstep.local.supervisor import Supervisor, runs_as
from lockstep.local.supervisord import CHILD
from tests.support.children import awaited, free_port, gone, program, running, server

SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with running(tmp_path / "run with space") as made:
        yield made


def always() -> bool:
    return True


def folder(supervisor: Supervisor) -> Path:
    supervisor.run.mkdir(parents=True, exist_ok=True)
    return supervisor.run


def test_a_program_is_started_adopted_and_stopped_without_a_trace(supervisor: Supervisor) -> None:
    port, other = free_port(), free_port()
    web = server("web", port, folder(supervisor), "it's", 'a "b" c', "50%", "x y", SAYS='100% "of" it')
    supervisor.start(web, lambda: get(port, "/") is not None, deadline_s=10)
    answer = get(port, "/")
    assert answer is not None
    assert answer[1].decode() == '100% "of" it|it\'s|a "b" c|50%|x y'
    assert supervisor.states()["web"] in ("RUNNING", "STARTING")
    pid, daemon = supervisor.pids()["web"], supervisor._daemon_pid()
    assert daemon is not None
    assert os.getsid(daemon) == daemon  # detached: it outlives who started it
    supervisor.start(web, lambda: get(port, "/") is not None, deadline_s=10)
    assert supervisor.pids() == {"web": pid}
    assert supervisor.is_running(web)

    changed = server("web", other, folder(supervisor), SAYS="new")
    assert not supervisor.is_running(changed)
    supervisor.start(changed, lambda: get(other, "/") is not None, deadline_s=10)
    assert get(port, "/") is None
    assert gone(pid)

    supervisor.stop("web")
    assert get(other, "/") is None
    assert gone(daemon)
    assert not supervisor.socket.parent.exists()
    assert list((supervisor.run / "conf.d").iterdir()) == []
    assert supervisor.states() == supervisor.pids() == {}


def test_the_last_program_that_leaves_takes_the_daemon_along(supervisor: Supervisor) -> None:
    for name in ("one", "two"):
        supervisor.start(program(name, SLEEP, folder(supervisor)), always, deadline_s=10)
    daemon = supervisor._daemon_pid()
    assert daemon is not None
    supervisor.stop("one")
    assert supervisor._daemon_pid() == daemon
    assert set(supervisor.states()) == {"two"}
    supervisor.stop("absent")
    assert set(supervisor.states()) == {"two"}
    supervisor.stop("two")
    assert gone(daemon)
    supervisor.stop("two")  # nothing runs any more: fine


def test_what_dies_while_it_starts_is_stopped_and_its_last_words_are_said(supervisor: Supervisor) -> None:
    code = "print('line', *range(3)); raise SystemExit('no such model: fünf')"
    with pytest.raises(Unavailable) as caught:
        supervisor.start(program("bad", code, folder(supervisor)), lambda: False, deadline_s=20)
    assert caught.value.code == "process.not_ready"
    assert "no such model: fünf" in caught.value.message
    assert "line 0 1 2" in caught.value.message
    assert "bad.log" in caught.value.remedy
    assert supervisor.states() == {}
    assert supervisor._daemon_pid() is None


def test_what_never_gets_ready_is_stopped_with_all_it_started(supervisor: Supervisor) -> None:
    code = (
        "import subprocess, sys, time; nap = 'import time; time.sleep(600)'; "
        "c = subprocess.Popen([sys.executable, '-c', nap]); print('child', c.pid, flush=True); exec(nap)"
    )
    started = time.monotonic()
    with pytest.raises(Unavailable, match="was not ready after 1 s") as caught:
        supervisor.start(program("slow", code, folder(supervisor)), lambda: False, deadline_s=1)
    assert time.monotonic() - started < 15
    child = int(caught.value.message.split("child ")[1].split()[0])
    assert awaited(lambda: gone(child))


def test_a_killed_supervisor_takes_its_programs_along(supervisor: Supervisor) -> None:
    port = free_port()
    web = server("web", port, folder(supervisor))
    supervisor.start(web, lambda: get(port, "/") is not None, deadline_s=10)
    pid, daemon = supervisor.pids()["web"], supervisor._daemon_pid()
    assert daemon is not None
    os.kill(daemon, signal.SIGKILL)
    assert awaited(lambda: gone(pid))
    assert supervisor.states() == {}
    assert not supervisor.is_running(web)
    supervisor.start(web, lambda: get(port, "/") is not None, deadline_s=10)  # the next `up`
    assert supervisor.pids()["web"] != pid


def test_programs_of_a_former_life_are_not_started_by_the_next_daemon(supervisor: Supervisor) -> None:
    supervisor.start(program("old", SLEEP, folder(supervisor)), always, deadline_s=10)
    daemon = supervisor._daemon_pid()
    assert daemon is not None
    os.kill(daemon, signal.SIGKILL)
    assert awaited(lambda: supervisor._daemon_pid() is None)
    supervisor.start(program("new", SLEEP, folder(supervisor)), always, deadline_s=10)
    assert set(supervisor.states()) == {"new"}


def test_a_program_that_crashes_is_started_again(supervisor: Supervisor) -> None:
    port = free_port()
    supervisor.start(
        server("web", port, folder(supervisor)), lambda: get(port, "/") is not None, deadline_s=10
    )
    assert awaited(lambda: supervisor.states().get("web") == "RUNNING")
    pid = supervisor.pids()["web"]
    os.kill(pid, signal.SIGKILL)
    assert awaited(lambda: supervisor.pids().get("web", pid) != pid and get(port, "/") is not None)


def test_files_with_secrets_and_the_socket_are_for_this_user_alone(supervisor: Supervisor) -> None:
    supervisor.start(program("secret", SLEEP, folder(supervisor), KEY="hush"), always, deadline_s=10)
    for path, mode in (
        (supervisor.run / "conf.d" / "secret.conf", 0o600),
        (supervisor.socket, 0o600),
        (supervisor.socket.parent, 0o700),
    ):
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
    assert len(str(supervisor.socket)) < 108
    command = " ".join(psutil.Process(supervisor._daemon_pid()).cmdline())
    assert "hush" not in command


def test_two_commands_at_once_share_one_daemon(supervisor: Supervisor) -> None:
    code = (
        "import sys; from pathlib import Path; from lockstep.local.supervisor import Supervisor\n"
        "from tests.support.children import program\n"
        "run = Path(sys.argv[1]); s = Supervisor(run)\n"
        "s.start(program(sys.argv[2], 'import time; time.sleep(600)', run), lambda: True, deadline_s=20)\n"
    )
    run = folder(supervisor)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    commands = [
        subprocess.Popen([sys.executable, "-c", code, str(run), name], env=environment)
        for name in ("one", "two")
    ]
    assert [command.wait(timeout=60) for command in commands] == [0, 0]
    assert awaited(lambda: set(supervisor.pids()) == {"one", "two"})
    daemon = supervisor._daemon_pid()
    assert {psutil.Process(pid).ppid() for pid in supervisor.pids().values()} == {daemon}


def test_an_environment_value_may_have_both_kinds_of_quotes(supervisor: Supervisor) -> None:
    port = free_port()
    odd = server("odd", port, folder(supervisor), SAYS='it\'s "odd" 100%')
    supervisor.start(odd, lambda: get(port, "/") is not None, deadline_s=10)
    answer = get(port, "/")
    assert answer is not None and answer[1].decode() == 'it\'s "odd" 100%|'
    assert supervisor.is_running(odd)


def test_a_stopped_program_is_woken_and_a_deaf_one_started_anew(supervisor: Supervisor) -> None:
    port = free_port()
    web = server("web", port, folder(supervisor))
    supervisor.start(web, lambda: get(port, "/") is not None, deadline_s=10)
    pid = supervisor.pids()["web"]
    os.kill(pid, signal.SIGSTOP)
    supervisor.start(web, lambda: get(port, "/", timeout_s=0.3) is not None, deadline_s=60)
    assert supervisor.pids()["web"] == pid, "woken, not replaced"
    other = supervisor.pids()["web"]
    answers = iter([False] * 6)
    supervisor.start(web, lambda: next(answers, True) and supervisor.pids()["web"] != other, deadline_s=4)
    assert supervisor.pids()["web"] != pid, "it never got ready, so it was started anew"


def test_a_stopped_supervisor_is_woken_with_all_it_runs(supervisor: Supervisor) -> None:
    port = free_port()
    web = server("web", port, folder(supervisor))
    supervisor.start(web, lambda: get(port, "/") is not None, deadline_s=10)
    pid, daemon = supervisor.pids()["web"], supervisor._daemon_pid()
    assert daemon is not None
    os.kill(daemon, signal.SIGSTOP)
    assert supervisor.is_stuck()
    supervisor.recover()
    assert not supervisor.is_stuck()
    assert supervisor.pids() == {"web": pid}


def test_what_a_killed_supervisor_left_stopped_is_ended(supervisor: Supervisor) -> None:
    """A stopped process does not hear that its parent died; it would keep its port for ever."""
    port = free_port()
    web = server("web", port, folder(supervisor))
    supervisor.start(web, lambda: get(port, "/") is not None, deadline_s=10)
    pid, daemon = supervisor.pids()["web"], supervisor._daemon_pid()
    assert daemon is not None
    os.kill(pid, signal.SIGSTOP)
    os.kill(daemon, signal.SIGKILL)
    assert awaited(lambda: gone(daemon))  # the kernel may end the stopped one, too: its group is an orphan
    supervisor.recover()
    assert gone(pid)
    supervisor.start(web, lambda: get(port, "/") is not None, deadline_s=10)


def test_the_socket_is_where_the_next_login_looks_for_it(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = supervisor.socket
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert supervisor.socket == before


def test_an_edited_file_of_a_running_program_is_written_again_without_a_restart(
    supervisor: Supervisor,
) -> None:
    web = program("web", SLEEP, folder(supervisor))
    supervisor.start(web, always, deadline_s=10)
    assert awaited(lambda: supervisor.is_running(web))  # past supervisord's fork
    pid, file = supervisor.pids()["web"], supervisor.run / "conf.d" / "web.conf"
    right = file.read_text()
    file.write_text(right.replace("autorestart=true", "autorestart=false"))
    assert not supervisor.has_file(web)
    supervisor.start(web, always, deadline_s=10)
    assert (file.read_text(), supervisor.pids()["web"]) == (right, pid)


def test_a_process_on_its_way_to_its_program_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the fork it has its parent's command: not another program, and not for ever."""
    web = program("web", SLEEP, tmp_path, SAYS="hello")
    pid = os.fork()
    if pid == 0:
        time.sleep(0.3)
        words = [sys.executable, "-S", "-E", str(CHILD), "--env", "SAYS=hello", *web.argv]
        os.execv(sys.executable, words)
    try:
        assert runs_as(pid, web)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert not runs_as(pid, web)
    monkeypatch.setattr("lockstep.local.supervisor.BECOMING_S", 0.1)
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
    try:
        assert not runs_as(pid, web)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_pipe_in_the_place_of_a_file_is_not_that_file(supervisor: Supervisor) -> None:
    """Nobody would ever write into it."""
    sleeper = program("sleeper", SLEEP, folder(supervisor))
    (supervisor.run / "conf.d").mkdir()
    for path in ("conf.d/sleeper.conf", "supervisord.conf", "supervisord.pid"):
        os.mkfifo(supervisor.run / path)
    assert not supervisor.has_file(sleeper)
    assert not supervisor.has_daemon_file()
    assert supervisor._recorded_pid() is None


class Late(Supervisor):
    """Its supervisord ends between being looked at and getting a signal."""

    def _own_daemon(self) -> int:
        ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
        ended.wait()
        return ended.pid


def test_who_has_ended_meanwhile_needs_no_signal(tmp_path: Path) -> None:
    late = Late(tmp_path)
    late._clear_remains()
    procfs.send(late._own_daemon(), signal.SIGCONT)


@pytest.mark.parametrize("pid", [-1, 0, 1, -4711])
def test_everybody_is_no_process_of_ours(monkeypatch: pytest.MonkeyPatch, pid: int) -> None:
    """A pid file may say anything."""
    monkeypatch.setattr(os, "kill", lambda *said: pytest.fail(f"signalled {said}"))
    procfs.send(pid, signal.SIGKILL)


def test_the_tail_of_a_log_that_is_not_there(supervisor: Supervisor) -> None:
    assert supervisor.log_tail("nobody") == "    (no log)"
    supervisor.logs.mkdir(parents=True)
    (supervisor.logs / "mute.log").write_bytes(b"")
    assert supervisor.log_tail("mute") == "    (empty log)"
    (supervisor.logs / "long.log").write_bytes(b"\xff\n" + b"\n".join(b"%d" % n for n in range(50)))
    assert supervisor.log_tail("long", lines=2) == "    48\n    49"


def test_a_checkout_may_have_a_percent_sign_in_its_path(tmp_path: Path) -> None:
    with running(tmp_path / "100 % sure") as supervisor:
        said = program("web", "print('up', flush=True); import time; time.sleep(600)", folder(supervisor))
        supervisor.start(said, lambda: "up" in supervisor.log_tail("web"), deadline_s=10)
        assert supervisor.pids().keys() == {"web"}
