"""One change from stack file to outcome: each failure leaves things as the step before left them.

The engine is a stand-in that does what gate, routes and receipt do, on the real log; it fails where told.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from string import Template
from typing import Any

import pytest
from click.testing import CliRunner

from lockstep.audit.layout import record_key
from lockstep.cli.audit import command as audit
from lockstep.deploy import Touch
from lockstep.errors import Cancelled, Denied, IntegrityError, LockstepError, UsageError
from lockstep.local.drift import Drift
from lockstep.rollout.change import Change, intent_since, reached, require_outcome
from lockstep.workspace import Workspace
from tests.support.stack import Scene
from tests.support.versity import BUCKET

ROOT = Path(__file__).parents[2]
ROUTE = Touch("update", "lockstep:index:Route", "digits-local-a")


def nothing() -> None:
    pass


def fail(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


BROKEN = LockstepError("the update failed: disk full", code="engine.failed", remedy="mend it")


@dataclass
class FakeEngine:
    """before, between, after: what happens before the intent, before the routes, instead of the receipt."""

    scene: Scene
    workspace: Workspace
    before: Callable[[], None] = nothing
    between: Callable[[], None] = nothing
    after: Callable[[], None] | None = None
    previewed: list[Touch] = field(default_factory=lambda: [ROUTE])
    ran: int = 0

    def preview(self, only: Sequence[str] = ()) -> list[Touch]:
        return self.previewed

    def up(self, only: Sequence[str] = ()) -> list[Touch]:
        assert not only, "on one machine an update is of the whole stack"
        self.ran += 1
        table = self.workspace.file.settings().table
        self.before()
        ledger = self.scene.ledger()
        ledger.record_intent(table)
        self.between()
        self.scene.stack.put(table)
        if self.after is None:
            ledger.record_outcome(ledger.size() - 1)
        else:
            self.after()
        return [ROUTE]


@dataclass
class Setting:
    scene: Scene
    engine: FakeEngine
    workspace: Workspace
    said: list[str] = field(default_factory=list)

    @property
    def change(self) -> Change:
        engine: Any = self.engine
        return Change(self.workspace, engine, self.scene.ledger(), self.said.append)

    def apply(self, table: Any) -> list[Touch]:
        """As a command does it."""
        change = self.change
        with change.exclusive():
            return change.apply(table, model="digits")

    def recover(self) -> None:
        """The beginning of the next command."""
        with self.change.exclusive():
            pass

    def power_cut(self, stage: str) -> bytes:
        """What a SIGKILL at that stage leaves: the file as rewritten, and what was kept aside."""
        kept: dict[Path, bytes] = {}

        def die() -> None:
            kept.update({path: path.read_bytes() for path in [self.workspace.file.path, *self.aside()]})
            raise KeyboardInterrupt

        setattr(self.engine, stage, die)
        with pytest.raises(KeyboardInterrupt):
            self.apply(placed(self))
        for path, data in kept.items():
            path.write_bytes(data)
        return kept[self.workspace.file.path]

    @property
    def bytes(self) -> bytes:
        return self.workspace.file.read_bytes()

    def aside(self) -> list[Path]:
        return list(self.scene.paths.stack("local").root.glob("*.json"))


@pytest.fixture
def setting(stage: Scene) -> Setting:
    """A stack that is up with the plain release everywhere, and its stack file."""
    shutil.copy2(ROOT / "Pulumi.yaml", stage.paths.root / "Pulumi.yaml")
    workspace = Workspace(stage.paths, "local")
    example = (ROOT / "Pulumi.local.yaml.example").read_text()
    workspace.file.path.write_text(Template(example).substitute(plain=stage.plain))
    stage.make(stage.table())
    return Setting(stage, FakeEngine(stage, workspace), workspace)


def placed(setting: Setting) -> Any:
    return setting.scene.table(setting.scene.cell(setting.scene.better))


def test_a_change_ends_with_its_outcome(setting: Setting) -> None:
    touched = setting.apply(placed(setting))
    assert touched == [ROUTE]
    assert setting.workspace.file.settings().table == placed(setting)
    assert setting.scene.kinds() == ["intent", "outcome:complete"] * 2
    assert setting.aside() == []


def test_a_table_that_is_no_config_is_refused_before_anything(setting: Setting) -> None:
    before = setting.bytes
    bad = setting.scene.table(setting.scene.cell(None, 5))
    with pytest.raises(UsageError):
        setting.apply(bad)
    assert setting.bytes == before
    assert setting.engine.ran == 0
    assert len(setting.scene.records()) == 2


def test_a_denied_change_leaves_the_file_byte_for_byte_and_a_record(setting: Setting) -> None:
    before = setting.bytes
    unready = setting.scene.table(setting.scene.cell(setting.scene.better, 5))
    with pytest.raises(Denied) as caught:
        setting.apply(unready)
    assert "candidate.not_ready" in {violation.code for violation in caught.value.violations}
    assert setting.bytes == before
    assert setting.engine.ran == 0
    assert setting.scene.kinds()[-1] == "denied"


def test_a_denial_while_the_stack_is_down_is_said_and_not_written(setting: Setting) -> None:
    setting.scene.stack.running.clear()
    with pytest.raises(Denied):
        setting.change.judge(setting.scene.table(setting.scene.cell(setting.scene.better, 5)))
    assert len(setting.scene.records()) == 2


def stray(setting: Setting, index: int) -> None:
    """What anybody who can write to the bucket can do to the next place of the log."""
    bucket = setting.scene.server.bucket()
    assert bucket._ask("PUT", record_key(index), body=b"a stray upload").status == 200


def void(setting: Setting, remedy: str) -> None:
    """Run the command that an error names."""
    words = shlex.split(remedy)
    assert words[:3] == ["./lockstep", "audit", "void"]
    result = CliRunner().invoke(audit, [*words[2:], "--yes"], obj=setting.scene.paths)
    assert result.exit_code == 0, result.output


def test_garbage_at_the_next_place_is_said_before_anything_and_voided(setting: Setting) -> None:
    before = setting.bytes
    stray(setting, 2)
    with pytest.raises(IntegrityError) as caught:
        setting.apply(placed(setting))
    assert (setting.bytes, setting.engine.ran) == (before, 0)
    void(setting, caught.value.remedy)
    setting.apply(placed(setting))
    assert setting.scene.kinds() == ["intent", "outcome:complete", "void", "intent", "outcome:complete"]


def test_garbage_in_the_middle_of_an_update_is_voided_and_the_update_done_again(setting: Setting) -> None:
    setting.engine.between = lambda: stray(setting, 3)
    with pytest.raises(IntegrityError) as caught:
        setting.apply(placed(setting))
    void(setting, caught.value.remedy)
    setting.engine.between = nothing
    setting.recover()
    setting.apply(placed(setting))
    assert setting.scene.kinds()[-1] == "outcome:complete"
    assert setting.workspace.file.settings().table == placed(setting)


@pytest.mark.parametrize("error", [BROKEN, Cancelled("stopped", code="engine.cancelled")])
def test_a_failure_before_the_intent_puts_the_file_back(setting: Setting, error: LockstepError) -> None:
    before = setting.bytes
    setting.engine.before = fail(error)
    with pytest.raises(type(error)) as caught:
        setting.apply(placed(setting))
    assert caught.value is error
    assert setting.bytes == before
    assert setting.aside() == []
    assert len(setting.scene.records()) == 2


def test_a_failure_after_the_intent_keeps_the_file_and_says_so(setting: Setting) -> None:
    setting.engine.between = fail(LockstepError("the route failed", code="engine.failed", remedy="mend it"))
    with pytest.raises(LockstepError) as caught:
        setting.apply(placed(setting))
    assert setting.workspace.file.settings().table == placed(setting)
    assert "Pulumi.local.yaml keeps the new table" in caught.value.message
    assert setting.scene.kinds()[-1] == "outcome:interrupted"
    assert setting.aside() == []


def uncover(setting: Setting) -> None:
    """As a writer leaves the log who dies between the newest record and its head."""
    count = len(setting.scene.records())
    (setting.scene.server.data / BUCKET / "head" / f"{count:010}").unlink()
    (setting.scene.paths.stack("local").root / "head").unlink()


def test_an_intent_that_no_head_covers_yet_is_an_intent(setting: Setting) -> None:
    """The plugin was killed between the two writes: the next writer completes the record, so the file that
    it speaks of must stay."""

    def die() -> None:
        uncover(setting)
        raise LockstepError("the plugin is gone", code="engine.failed", remedy="run it again")

    setting.engine.between = die
    with pytest.raises(LockstepError) as caught:
        setting.apply(placed(setting))
    assert "the intent is recorded" in caught.value.message
    assert setting.workspace.file.settings().table == placed(setting)
    assert setting.scene.kinds()[-2:] == ["intent", "outcome:interrupted"]


def test_an_intent_that_no_head_covers_yet_is_due_for_the_next_update(setting: Setting) -> None:
    """It would be opened by the very last write of an `up` that had found nothing to do."""
    setting.scene.ledger().record_intent(placed(setting))
    count = len(setting.scene.records())
    uncover(setting)
    ledger = setting.scene.ledger()
    state = ledger.state()
    assert state is not None
    assert state.open_intent is not None
    assert state.open_intent.index == count - 1 == ledger.size()
    assert ledger.judge(setting.scene.table()) is not None


def test_what_a_killed_writer_left_beside_the_stack_file_is_swept(setting: Setting) -> None:
    path = setting.workspace.file.path
    left = path.with_name(f".{path.name}.0123456789abcdef")
    mine = path.with_name(f".{path.name}.swp")
    for file in (left, mine):
        file.write_bytes(b"half")
    setting.recover()
    assert not left.exists()
    assert mine.exists()


def test_a_log_that_went_away_does_not_hide_what_failed_first(setting: Setting) -> None:
    def cut() -> None:
        setting.scene.server.stop()
        raise LockstepError("the route failed", code="engine.failed", remedy="mend it")

    setting.engine.between = cut
    with pytest.raises(LockstepError) as caught:
        setting.apply(placed(setting))
    assert caught.value.code == "engine.failed"
    assert "the route failed" in caught.value.message
    assert "the record says `interrupted`" not in caught.value.message
    setting.scene.server.start()
    setting.recover()
    assert setting.workspace.file.settings().table == placed(setting)
    assert setting.scene.kinds()[-1] == "intent"


def test_an_engine_that_is_content_without_an_outcome_is_not_believed(setting: Setting) -> None:
    setting.engine.after = nothing
    with pytest.raises(IntegrityError) as caught:
        setting.apply(placed(setting))
    assert caught.value.code == "change.no_outcome"


@pytest.mark.parametrize(
    "touch",
    [
        Touch("update", "lockstep:index:Route", "faces-local-a"),
        Touch("delete", "lockstep:index:ModelService", "faces-local-a-blue"),
        Touch("replace", "lockstep:index:Gateway", "gateway-local-a"),
        Touch("update", "lockstep:index:EntryPoint", "entry"),
    ],
)
def test_an_update_that_would_touch_more_is_refused_with_the_list(setting: Setting, touch: Touch) -> None:
    before = setting.bytes
    setting.scene.stack.running |= {"entry", "gateway-local-a", "faces-local-a-blue", "faces-local-a"}
    setting.engine.previewed = [ROUTE, touch]
    with pytest.raises(LockstepError) as caught:
        setting.apply(placed(setting))
    assert caught.value.code == "change.touches_more"
    assert str(touch) in caught.value.message
    assert str(ROUTE) not in caught.value.message
    assert setting.bytes == before
    assert setting.engine.ran == 0


def test_mending_what_somebody_did_to_another_process_does_not_count(setting: Setting) -> None:
    """A rollback must not wait until somebody has seen to an edited file."""
    setting.scene.stack.running |= {"entry", "gateway-local-b"}
    setting.scene.stack.drifted = [Drift("process.stopped", "entry", "entry is stopped")]
    setting.engine.previewed = [ROUTE, Touch("update", "lockstep:index:EntryPoint", "entry")]
    setting.apply(placed(setting))
    setting.engine.previewed.append(Touch("update", "lockstep:index:Gateway", "gateway-local-b"))
    with pytest.raises(LockstepError) as caught:
        setting.apply(placed(setting))
    assert "gateway-local-b" in caught.value.message
    assert "entry" not in caught.value.message


def test_restarts_of_what_is_declared_already_do_not_count(setting: Setting) -> None:
    setting.engine.previewed = [
        ROUTE,
        Touch("update", "lockstep:index:PromotionGate", "gate"),
        Touch("update", "lockstep:index:PromotionReceipt", "receipt"),
        Touch("create", "lockstep:index:ModelService", "digits-local-b-green"),
        Touch("update", "lockstep:index:Gateway", "gateway-local-b"),
    ]
    setting.apply(placed(setting))


def test_the_intent_of_somebody_elses_running_update_is_left_open(setting: Setting) -> None:
    """A plain `pulumi up` has the engine's lock and its intent, and has not moved the routes yet. Closed
    here, its receipt would find nothing to close, and the routes would move after their record."""
    before, table = setting.bytes, placed(setting)

    def locked() -> None:
        setting.scene.ledger().record_intent(table)
        raise LockstepError("another update of local is running", code="engine.locked", remedy="wait")

    setting.engine.before = locked
    with pytest.raises(LockstepError) as caught:
        setting.apply(table)
    assert caught.value.code == "engine.locked"
    assert setting.scene.kinds()[-1] == "intent", "it is open, for its own update to close"
    assert setting.bytes == before


def test_a_killed_command_is_undone_by_the_next_one(setting: Setting) -> None:
    before = setting.bytes
    assert setting.power_cut("before") != before
    setting.recover()
    assert setting.bytes == before
    assert any(line.startswith("Pulumi.local.yaml is as it was") for line in setting.said)
    assert setting.aside() == []
    setting.recover()
    assert setting.bytes == before


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"{}",
        b"[]",
        b"[" * 200_000,
        b'{"size": -1, "written": "", "before": "eA=="}',
        b'{"size": 1e400, "written": "", "before": "eA=="}',
        b'{"size": 1, "written": "", "before": ""}',
        b'{"size": 1, "written": "", "before": "?"}',
        None,
    ],
    ids=range(9),
)
def test_a_kept_file_that_cannot_be_read_is_named_and_nothing_is_guessed(
    setting: Setting, kept: bytes | None
) -> None:
    rewritten = setting.power_cut("before")
    (path,) = setting.aside()
    path.unlink()
    if kept is None:
        os.mkfifo(path)
    else:
        path.write_bytes(kept)
    for _ in range(2):
        with pytest.raises(IntegrityError) as refused:
            setting.recover()
        assert refused.value.code == "change.kept_malformed"
        assert f"rm '{path}'" in refused.value.remedy
        assert setting.bytes == rewritten
    path.unlink()
    setting.recover()


def test_a_file_that_somebody_edited_since_is_not_overwritten(setting: Setting) -> None:
    setting.power_cut("before")
    setting.workspace.file.write(setting.bytes + b"# mine\n")
    mine = setting.bytes
    setting.recover()
    assert setting.bytes == mine
    assert setting.aside() == []


def test_a_command_killed_after_its_intent_is_not_undone(setting: Setting) -> None:
    kept = setting.power_cut("between")
    setting.recover()
    assert setting.bytes == kept
    assert setting.workspace.file.settings().table == placed(setting)
    assert setting.aside() == []


def test_two_commands_at_once_are_told_who_is_at_it(setting: Setting) -> None:
    with setting.change.exclusive():
        with pytest.raises(LockstepError) as caught, setting.change.exclusive():
            pytest.fail("two writers")
        assert caught.value.code == "change.locked"
        assert f"pid {os.getpid()} (./lockstep" in caught.value.message
    setting.recover()


def test_ctrl_c_before_the_intent_puts_the_file_back(setting: Setting) -> None:
    before = setting.bytes
    setting.engine.before = fail(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        setting.apply(placed(setting))
    assert setting.bytes == before


def test_whether_an_intent_came_after_a_size_of_the_log(setting: Setting) -> None:
    ledger = setting.scene.ledger()
    assert intent_since(ledger, 0)
    assert not intent_since(ledger, 2)
    setting.scene.ledger().record_intent(placed(setting))
    assert intent_since(ledger, 2)
    assert not intent_since(ledger, 3)


def test_an_outcome_must_say_this_very_table(setting: Setting) -> None:
    require_outcome(setting.scene.ledger(), setting.scene.table())
    with pytest.raises(IntegrityError):
        require_outcome(setting.scene.ledger(), placed(setting))


def test_without_a_log_there_is_no_intent_and_no_outcome(bare_stage: Scene) -> None:
    assert not intent_since(bare_stage.ledger(), 0)
    with pytest.raises(IntegrityError):
        require_outcome(bare_stage.ledger(), bare_stage.table())


def test_past_a_silent_region_goes_an_update_of_gate_receipt_and_the_model_elsewhere() -> None:
    def urn(kind: str, name: str) -> str:
        return f"urn:pulumi:staging::lockstep::{kind}::{name}"

    only = reached("digits", ["eu-central-1"])
    chosen = [
        urn("lockstep:index:PromotionGate", "gate"),
        urn("lockstep:infra:Region$lockstep:index:RouteWarrant", "digits-eu-central-1"),
        urn("lockstep:infra:Region$kubernetes:apps/v1:Deployment", "digits-eu-central-1-green"),
        urn("lockstep:index:PromotionReceipt", "receipt"),
    ]
    left = [
        urn("lockstep:infra:Region$lockstep:index:RouteWarrant", "digits-us-east-1"),
        urn("lockstep:infra:Region$kubernetes:core/v1:Service", "faces-eu-central-1-green"),
        urn("lockstep:infra:Region$kubernetes:gateway.networking.k8s.io/v1:Gateway", "gateway-eu-central-1"),
    ]
    assert all(any(fnmatchcase(each, pattern) for pattern in only) for each in chosen)
    assert not any(fnmatchcase(each, pattern) for pattern in only for each in left)
