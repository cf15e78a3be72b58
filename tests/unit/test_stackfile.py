"""A stack's file: comments and order survive a new table, and a write is whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep.errors import UsageError
from lockstep.stackfile import StackFile, write_atomic
from lockstep.table import Table

ROOT = Path(__file__).parents[2]
PLAIN, BETTER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
TEXT = f"""# The stack `local`, with words of its owner.
config:
  lockstep:target: local
  lockstep:environment: local
  lockstep:regions:
    - name: local-a   # the near one
    - name: local-b
  lockstep:models:
    digits:
      local-a: {{blue: "{PLAIN}", green: null, green_weight: 0}}
  lockstep:audit:
    bucket: lockstep-audit
    retention_days: 30
  lockstep:allow_destroy: true
  lockstep:port: "18500"   # text, as the engine rewrites numbers
# the end
"""
digests = st.sampled_from([PLAIN, BETTER])


@pytest.fixture
def file(tmp_path: Path) -> StackFile:
    path = tmp_path / "Pulumi.local.yaml"
    path.write_text(TEXT)
    return StackFile(path, ROOT / "Pulumi.yaml")


def cell(green: str | None, weight: float, blue: str | None = PLAIN) -> dict[str, Any]:
    return {"blue": blue, "green": green, "green_weight": weight}


def test_settings_are_the_files_with_the_projects_defaults(file: StackFile) -> None:
    settings = file.settings()
    assert settings.table == {"digits": {"local-a": cell(None, 0)}}
    assert settings.port == 18500
    assert settings.runtime == "onnx"


def test_everything_but_the_table_stays_as_it_is(file: StackFile) -> None:
    table: Table = {"digits": {"local-a": cell(BETTER, 5.5), "local-b": {"withdraw": PLAIN}}}
    before, after = TEXT.splitlines(), file.with_table(table).decode().splitlines()
    start, end = before.index("  lockstep:models:"), before.index("  lockstep:audit:")
    assert after[:start] == before[:start]
    assert after[-len(before[end:]) :] == before[end:]
    assert file.path.read_text() == TEXT


def test_a_new_table_is_one_line_a_cell(file: StackFile) -> None:
    table: Table = {"digits": {"local-a": cell(BETTER, 5.5), "local-b": {"withdraw": PLAIN}}}
    text = file.with_table(table).decode()
    assert f"      local-a: {{blue: {PLAIN}, green: {BETTER}, green_weight: 5.5}}\n" in text
    assert f"      local-b: {{withdraw: {PLAIN}}}\n" in text


@st.composite
def any_cell(draw: st.DrawFn) -> dict[str, Any]:
    if draw(st.booleans()):
        return {"withdraw": draw(digests)}
    tenths = draw(st.integers(0, 1000))
    weight = tenths // 10 if tenths % 10 == 0 else tenths / 10
    return draw(st.sampled_from([cell(draw(digests), weight), cell(None, 0), cell(draw(digests), 100, None)]))


@given(
    st.dictionaries(
        st.sampled_from(["digits", "faces", "x-2"]),
        st.dictionaries(st.sampled_from(["local-a", "local-b"]), any_cell(), min_size=1),
    )
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_written_table_reads_back_as_the_same_one(file: StackFile, table: Table) -> None:
    assert file.settings(file.with_table(table)).table == table
    assert file.with_table(table) == file.with_table(table)


def test_writing_twice_is_writing_once(file: StackFile) -> None:
    table: Table = {"digits": {"local-a": cell(BETTER, 25)}}
    file.write(file.with_table(table))
    first = file.read_bytes()
    file.write(file.with_table(table))
    assert file.read_bytes() == first


def test_a_write_leaves_nothing_beside_the_file(file: StackFile) -> None:
    file.write(b"other")
    assert file.read_bytes() == b"other"
    assert [path.name for path in file.path.parent.iterdir()] == [file.path.name]


def test_a_secret_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    write_atomic(path, b"secret", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == b"secret"


def test_a_file_that_is_not_there_says_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        StackFile(tmp_path / "Pulumi.local.yaml", ROOT / "Pulumi.yaml").settings()
    assert caught.value.code == "config.no_stack_file"
    assert "./lockstep up" in caught.value.remedy


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"config:\n",
        b"config: []\n",
        b"config: words\n",
        b"- 1\n",
        b"just words",
        b"{",
        b"\xff\xfe\xfd",
        b"a: b\n",
    ],
)
def test_what_is_no_stack_file_is_refused_by_name(file: StackFile, data: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        file.settings(data)
    assert caught.value.code == "config.malformed"
    assert "Pulumi.local.yaml" in caught.value.message
