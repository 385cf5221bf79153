"""Standard output that is closed, full, cut off or not UTF-8: everything is done all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PRELUDE = "import sys; from gradsweep.cli.streams import Streams; streams = Streams(); "


def shell(
    code: str, redirection: str, folder: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Python code behind a redirection of the shell."""
    command = f'"$PYTHON" -c "$CODE" {redirection}'
    environment = {"PYTHON": sys.executable, "CODE": PRELUDE + code, **variables}
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=_inherited() | environment,
        capture_output=True,
        text=True,
    )


def _inherited() -> dict[str, str]:
    kept = ("PATH", "HOME", "PYTHONPATH", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in kept if name in os.environ}


def test_what_is_written_after_the_output_was_closed_is_whole(tmp_path: Path) -> None:
    code = (
        "file = open('results.txt', 'w'); print('a table'); print('words', file=sys.stderr); "
        "file.write('numbers'); file.close()"
    )
    ended = shell(code, ">&- 2>&- <&-", tmp_path)
    assert ended.returncode == 0
    assert (tmp_path / "results.txt").read_text() == "numbers"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_has_had_enough_ends_nothing(stream: str, tmp_path: Path) -> None:
    redirection = "| head -1" if stream == "stdout" else "2>&1 >/dev/null | head -1"
    code = (
        f"[print('line', file=sys.{stream}, flush=True) for _ in range(20_000)]; "
        "open('done', 'w').write(streams.fault())"
    )
    ended = shell(code, redirection, tmp_path)
    assert ended.stdout == "line\n"
    assert ended.stderr == ""
    assert (tmp_path / "done").read_text() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_under_the_output_is_told_at_the_end(tmp_path: Path) -> None:
    code = "print('line'); open('done', 'w').write(streams.fault())"
    assert shell(code, "> /dev/full", tmp_path).returncode == 0
    assert "No space left" in (tmp_path / "done").read_text()


def test_the_command_says_so_and_fails(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    ended = shell(
        "from gradsweep.cli import main; sys.exit(main())", "--help > /dev/full", tmp_path
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: standard output is cut (No space left on device)")


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "cp1252", "utf-8"])
def test_letters_that_the_terminal_lacks_are_others_as_wide(encoding: str, tmp_path: Path) -> None:
    code = (
        "from rich.table import Table; from gradsweep.progress import output_console; "
        "table = Table('cot', 'Σσ'); table.add_row('none → détaillé', '✓ 3.2×'); "
        "output_console().print(table)"
    )
    ended = shell(code, "| iconv -f $PYTHONIOENCODING -t utf-8", tmp_path,
                  PYTHONIOENCODING=encoding, COLUMNS="60")  # fmt: skip
    assert "3.2" in ended.stdout
    assert ended.stderr == ""
    assert len({len(line) for line in ended.stdout.splitlines()}) == 1, "columns fit"
    if encoding == "ascii":
        assert "none > d?taill?" in ended.stdout
        assert "v 3.2x" in ended.stdout


@pytest.mark.parametrize("columns", ["0", "1", "abc"])
def test_a_width_that_cannot_be_is_not_one(columns: str, tmp_path: Path) -> None:
    code = "from gradsweep.progress import output_console; output_console().print('a b c d')"
    assert shell(code, "", tmp_path, COLUMNS=columns).stdout == "a b c d\n"


def test_nothing_is_said_after_the_end(tmp_path: Path) -> None:
    """Bindings of libraries count what they were not asked to free, in dozens of lines."""
    code = (
        "import torch._dynamo; from gradsweep.cli import main; sys.argv[1:] = ['--version']; main()"
    )
    assert shell(code, "", tmp_path).stderr == ""
