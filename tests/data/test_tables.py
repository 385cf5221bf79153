"""Files of other kinds than JSON: the same samples as from JSON lines, or one clear error."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow
import pytest

from gradsweep.config import Config
from gradsweep.data import fingerprint, load_samples
from gradsweep.errors import DataError

MakeConfig = Callable[..., Config]
ROWS = [
    {"prompt": 'What is "two",\nplus two?', "none": "4", "detailed": "Two, and two.\nIt is 4."},
    {"prompt": "Quelle est la moitié de 014?", "none": "007", "detailed": None},
]


def _lines() -> bytes:
    return "\n".join(map(json.dumps, ROWS)).encode()


def _table(write: str, **options: Any) -> bytes:
    file = io.BytesIO()
    getattr(pl.DataFrame(ROWS), write)(file, **options)
    return file.getvalue()


def _zstd(data: bytes) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


FILES: dict[str, Callable[[], bytes]] = {
    "mine.jsonl": _lines,
    "MINE.JSONL": _lines,
    "mine.ndjson": _lines,
    "mine.json": lambda: json.dumps(ROWS).encode(),
    "mine.jsonl.gz": lambda: gzip.compress(_lines()),
    "mine.jsonl.zst": lambda: _zstd(_lines()),
    "mine.csv": lambda: _table("write_csv", include_bom=True),
    "quoted.csv": lambda: _table("write_csv", quote_style="always"),
    "mine.csv.gz": lambda: gzip.compress(_table("write_csv")),
    "mine[1].csv": lambda: _table("write_csv"),
    "mine[1].parquet": lambda: _table("write_parquet"),
    "mine.tsv": lambda: _table("write_csv", separator="\t"),
    "mine.parquet": lambda: _table("write_parquet"),
    "file.arrow": lambda: _table("write_ipc"),
    "stream.arrow": lambda: _table("write_ipc_stream"),
}


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _texts(config: Config) -> list[tuple[str, str]]:
    return [(sample.prompt, sample.response) for sample in load_samples(config).samples]


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_gives_the_same_samples(
    name: str, make_config: MakeConfig, tmp_path: Path
) -> None:
    path = _write(tmp_path / name, FILES[name]())
    none, detailed = (
        make_config("jsonl", level, path=path, shuffle=False) for level in ("none", "detailed")
    )
    assert _texts(none) == [(row["prompt"], row["none"]) for row in ROWS]
    assert _texts(detailed) == [(ROWS[0]["prompt"], ROWS[0]["detailed"])]


def test_compression_is_no_part_of_the_identity(make_config: MakeConfig, tmp_path: Path) -> None:
    prints = {
        fingerprint(make_config("jsonl", path=_write(tmp_path / name, FILES[name]())))
        for name in ("mine.jsonl", "mine.jsonl.gz", "mine.jsonl.zst")
    }
    assert len(prints) == 1


def test_a_folder_that_datasets_saved(make_config: MakeConfig, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    messages = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]
    saved = datasets.Dataset.from_list([{"messages": messages}])
    saved.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=saved).save_to_disk(tmp_path / "split")
    datasets.DatasetDict(train=saved, test=saved).save_to_disk(tmp_path / "splits")
    for folder in ("one", "split", "splits/test"):
        assert _texts(make_config("jsonl", path=tmp_path / folder)) == [("2+2?", "4")]
    before = fingerprint(make_config("jsonl", path=tmp_path / "one"))
    assert before == fingerprint(make_config("jsonl", path=tmp_path / "split"))
    with pytest.raises(DataError, match=r"one split, got train, test; .*splits/<split>"):
        load_samples(make_config("jsonl", path=tmp_path / "splits"))
    messages[1]["content"] = "5"
    datasets.Dataset.from_list([{"messages": messages}]).save_to_disk(tmp_path / "one")
    assert fingerprint(make_config("jsonl", path=tmp_path / "one")) != before


@pytest.mark.parametrize("call", [load_samples, fingerprint])
@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("mine.csv", b"prompt,none\n1,2,3\n", r"cannot read .*mine.csv: "),
        ("mine.csv", b"prompt,none\n", r"mine.csv has no rows"),
        ("mine.csv", b"caf\xe9,none\n1,2", r"not UTF-8 text"),
        ("mine.csv", b"a,b\n1,2", r"row 1: field 'prompt' is missing; given are a, b"),
        ("mine.parquet", b"PAR1 cut off", r"cannot read .*mine.parquet: "),
        ("mine.arrow", b"ARROW1 cut off", r"cannot read .*mine.arrow: "),
        ("mine.jsonl.gz", b"no gzip", r"cannot read .*mine.jsonl.gz: "),
        (
            "mine.jsonl.gz",
            gzip.compress(b'{"prompt"' * 99, mtime=0)[:-9],
            r"cannot read .*: Truncated",
        ),
        ("mine.jsonl.zst", b"no zstd", r"cannot read .*mine.jsonl.zst: "),
        ("mine.parquet", b"version https://git-lfs.github.com/spec/v1\noid", r"`git lfs pull`"),
        ("mine.gz", gzip.compress(b"{}", mtime=0), r"mine.gz must end in "),
    ],
)
def test_a_broken_file_gets_one_clear_error(
    name: str,
    data: bytes,
    said: str,
    call: Callable[[Config], object],
    make_config: MakeConfig,
    tmp_path: Path,
) -> None:
    with pytest.raises(DataError, match=said) as caught:
        call(make_config("jsonl", path=_write(tmp_path / name, data)))
    assert "\n" not in str(caught.value)
