"""The launcher `./lockstep`, with a stand-in for uv whose environments have a python that tells its words."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lockstep.paths import here

VERSION = "9.9.9"
UV = f"""\
#!/bin/sh
# Writes down each call; `venv` makes a folder whose python answers `-c` and tells its other arguments.
printf '%s\\n' "$*" >>"$UV_CALLS"
if [ "$1" = venv ]; then
    for folder; do :; done
    mkdir -p "$folder/bin"
    cat >"$folder/bin/python" <<'P'
#!/bin/sh
if [ "$1" = -c ]; then exec {sys.executable} "$@"; fi
if [ "$2" = compileall ]; then echo "$*" >>"$UV_CALLS.compiled"; [ ! -e "$UV_CALLS.full" ]; exit; fi
printf 'cwd=%s\\n' "$(pwd)"
for word; do printf '[%s]\\n' "$word"; done
exit 5
P
    chmod +x "$folder/bin/python"
elif [ -e "$UV_CALLS.fail" ]; then
    echo "no such index" >&2
    exit 3
elif [ -e "$UV_CALLS.slow" ]; then
    sleep 1
fi
"""


class Checkout:
    """A folder with a space in its name: launcher, pins, and a cache that holds the stand-in."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a checkout"
        self.root.mkdir()
        shutil.copy(here().root / "lockstep", self.root / "lockstep")
        (self.root / "requirements.txt").write_text(f"click==8\nuv=={VERSION}\n    # via somebody\n")
        (self.root / "pyproject.toml").write_text("[project]\n")
        self.cache = folder / "cache"
        uv = self.cache / "uv" / VERSION / "uv"
        uv.parent.mkdir(parents=True)
        uv.write_text(UV)
        uv.chmod(0o755)
        self.calls_file = folder / "calls"
        self.environment = {
            **os.environ,
            "LOCKSTEP_CACHE": str(self.cache),
            "LOCKSTEP_PYTHON": sys.executable,
            "UV_CALLS": str(self.calls_file),
            "NO_COLOR": "1",
        }

    def start(
        self, *words: str, cwd: Path | None = None, program: Path | None = None
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(program or self.root / "lockstep"), *words],
            cwd=cwd,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, cwd: Path | None = None, program: Path | None = None) -> tuple[int, str, str]:
        with self.start(*words, cwd=cwd, program=program) as process:
            out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_run_makes_the_environment_and_runs_the_command(checkout: Checkout) -> None:
    code, out, err = checkout.run("status", "--output", "json")
    assert code == 5, "the exit code is the command's"
    assert out.splitlines()[1:] == ["[-P]", "[-m]", "[lockstep.cli]", "[status]", "[--output]", "[json]"]
    assert [call.split()[0] for call in checkout.calls()] == ["venv", "pip", "pip"]
    assert "--editable" in checkout.calls()[2]
    assert all("--compile-bytecode" in call for call in checkout.calls()[1:])
    compiled = Path(f"{checkout.calls_file}.compiled").read_text()
    assert compiled == f"-m compileall -q {checkout.root}/src {checkout.root}/infra\n"
    assert "lockstep: making .venv ..." in err
    assert "done in" in err
    assert "bytecode" not in err
    assert "\r" not in err, "no terminal: plain lines"


def test_sources_beside_which_nothing_can_be_written_are_run_all_the_same(checkout: Checkout) -> None:
    Path(f"{checkout.calls_file}.full").touch()
    code, _, err = checkout.run("status")
    assert code == 5, "the exit code is the command's"
    assert "each command compiles them anew" in err


def test_the_second_run_does_nothing_but_the_command(checkout: Checkout) -> None:
    checkout.run("up")
    before = checkout.calls()
    code, _, err = checkout.run("up")
    assert (code, err) == (5, "")
    assert checkout.calls() == before


def test_any_folder_any_words_and_through_a_link(checkout: Checkout, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    (elsewhere / "link").symlink_to("../a checkout/lockstep")
    (elsewhere / "second link").symlink_to(elsewhere / "link")
    code, out, _ = checkout.run("predict", "two words", "", cwd=elsewhere, program=elsewhere / "second link")
    assert code == 5
    assert out.splitlines()[0] == f"cwd={elsewhere}"
    assert out.splitlines()[-3:] == ["[predict]", "[two words]", "[]"]


@pytest.mark.parametrize("file", ["requirements.txt", "pyproject.toml"])
def test_a_changed_pin_is_installed(checkout: Checkout, file: str) -> None:
    checkout.run("up")
    with (checkout.root / file).open("a") as opened:
        opened.write("# changed\n")
    checkout.run("up")
    assert [call.split()[0] for call in checkout.calls()[3:]] == ["pip", "pip"], "the environment is kept"
    before = len(checkout.calls())
    checkout.run("up")
    assert len(checkout.calls()) == before


def test_a_set_up_that_failed_says_why_and_goes_on_the_next_time(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "calls.fail").touch()
    code, out, err = checkout.run("up")
    assert (code, out) == (1, "")
    assert "no such index" in err
    assert "next: see that the package index can be reached" in err
    (tmp_path / "calls.fail").unlink()
    assert checkout.run("up")[0] == 5
    assert [call.split()[0] for call in checkout.calls()] == ["venv", "pip", "pip", "pip"]


def test_two_at_once_set_up_once(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "calls.slow").touch()
    both = [checkout.start("up") for _ in range(2)]
    ends = []
    for process in both:
        with process:
            ends.append((process.communicate(timeout=60)[1], process.returncode))
    assert [code for _, code in ends] == [5, 5]
    assert [call.split()[0] for call in checkout.calls()] == ["venv", "pip", "pip"]
    assert sum("waiting for it" in err for err, _ in ends) == 1


def test_a_killed_set_up_holds_no_lock_and_is_finished_by_the_next(
    checkout: Checkout, tmp_path: Path
) -> None:
    (tmp_path / "calls.slow").touch()
    with checkout.start("up") as process:
        assert process.stderr is not None
        while "installing Python packages" not in process.stderr.readline():
            pass
        process.kill()
    assert not (checkout.root / ".venv" / "lockstep-ready").exists()
    (tmp_path / "calls.slow").unlink()
    assert checkout.run("up")[0] == 5
    assert (checkout.root / ".venv" / "lockstep-ready").exists()


def test_an_interrupted_set_up_ends_with_130_and_is_finished_by_the_next(
    checkout: Checkout, tmp_path: Path
) -> None:
    """Ctrl-C reaches the whole group, as on a terminal."""
    (tmp_path / "calls.slow").touch()
    with subprocess.Popen(
        [str(checkout.root / "lockstep"), "up"],
        env=checkout.environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in a background job
    ) as process:
        assert process.stderr is not None
        while "installing Python packages" not in process.stderr.readline():
            pass
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == 130
    assert not (checkout.root / ".venv" / "lockstep-ready").exists()
    (tmp_path / "calls.slow").unlink()
    assert checkout.run("up")[0] == 5


def test_a_moved_checkout_gets_a_new_environment(checkout: Checkout, tmp_path: Path) -> None:
    checkout.run("up")
    checkout.root.rename(tmp_path / "moved")
    checkout.run("up", program=tmp_path / "moved" / "lockstep")
    assert [call.split()[0] for call in checkout.calls()].count("venv") == 2


def test_without_uv_pip_installs(checkout: Checkout) -> None:
    """A stand-in python whose venv has a pip that knows nothing: uv cannot be had, then pip is asked."""
    shutil.rmtree(checkout.cache)
    recorder = checkout.root.parent / "python"
    recorder.write_text(f"""\
#!/bin/sh
printf 'python %s\\n' "$*" >>"$UV_CALLS"
case "$1 $2" in
    "-c import"*"sys.executable)") echo "$0" ;;
    "-c "*) exec {sys.executable} "$@" ;;
    "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip") case "$*" in *uv==*) exit 1 ;; esac ;;
    *) echo "ran $*" ;;
esac
""")
    recorder.chmod(0o755)
    checkout.environment["LOCKSTEP_PYTHON"] = str(recorder)
    code, out, err = checkout.run("up")
    assert code == 0, err
    assert out == "ran -P -m lockstep.cli up\n"
    assert "using pip, which is slower" in err
    assert any("-m pip install" in call and "-r" in call for call in checkout.calls())
    assert not list((checkout.cache / "uv").iterdir()) or not list(checkout.cache.glob("uv/.making-*"))


def test_without_python_it_says_how_to_get_one(checkout: Checkout, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("cat", "dirname", "readlink", "sh"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    old = tools / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    checkout.environment.update(PATH=str(tools), LOCKSTEP_PYTHON="")
    code, out, err = checkout.run("up")
    assert (code, out) == (2, "")
    assert "Python 3.11 or newer" in err
    assert "apt install python3.11" in err
    assert "LOCKSTEP_PYTHON" in err
