"""Reports of results in a folder that only others may write: one error, whose remedy works."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from helpers.stored_points import store_point

from gradsweep.cli import main
from gradsweep.errors import StoreError
from gradsweep.records import Axes
from gradsweep.store.atomic import write_text

pytestmark = pytest.mark.usefixtures("wide_terminal")


@pytest.mark.long
@pytest.mark.parametrize("words", [["report"], ["compare", "cot=none", "cot=detailed"]])
def test_the_remedy_of_the_error_writes_the_same_elsewhere(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    theirs = tmp_path / "the lab's results"
    for cot, level in (("none", 4.0), ("detailed", 1.0)):
        store_point(theirs, f"{cot:0<8}", Axes("tiny", "sums", cot, "correct"), level)
    with monkeypatch.context() as read_only:
        make = Path.mkdir

        def refused(folder: Path, *args: Any, **options: Any) -> None:
            if theirs in folder.parents:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(folder))
            make(folder, *args, **options)

        read_only.setattr(Path, "mkdir", refused)
        assert main([*words, str(theirs)]) == 1
    message = " ".join(capsys.readouterr().err.split())
    assert message.count("error:") == 1
    assert "Read-only file system" in message
    remedy = re.search(r"own: (mkdir mine; ln -s .* mine/points); and type mine for", message)
    assert remedy is not None, message
    subprocess.run(["bash", "-ec", remedy[1]], check=True)
    assert main([*words, "mine"]) == 0
    assert list(Path("mine/reports").rglob("*.png"))
    assert not (theirs / "reports").exists()


def test_points_are_not_written_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(StoreError, match=r"Permission denied$"):
        write_text(tmp_path / "results/points/0123/summary.json", "{}")
