"""Tables in LaTeX, compiled as they are."""

import shutil
import subprocess

import polars as pl
import pytest

from gradsweep.report.measures import compute_measures
from gradsweep.report.tables import save_tables

DOCUMENT = r"""\documentclass[twocolumn]{article}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""


@pytest.mark.long
def test_every_table_compiles_with_booktabs_alone(plant, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex: apt-get install texlive-latex-base texlive-latex-recommended")
    hostile = plant(model=r"a_b^c~d\e{f}#%&$<x>|…é", dataset="50%_ünï", series="dtype=bfloat16")
    pair = [plant(model=name, dataset="gsm8k") for name in ("qwen2_1.5b", "qwen2_1.5b_instruct")]
    tiny = plant().with_columns(pl.col("nuclear_norm") * 1e-9)
    huge = plant(dataset="large").with_columns(pl.col("nuclear_norm") * 1e9)
    rows = pl.concat([hostile, *pair, tiny, huge])
    names = ("nuclear_norm", "effective_rank")
    written = save_tables([compute_measures(rows, name) for name in names], tmp_path)
    sources = [path for path in written if path.suffix == ".tex"]
    # A page for each: LaTeX holds no more than a few floating tables at once.
    inputs = "\\clearpage\n".join(f"\\input{{{path.name}}}" for path in sources)
    (tmp_path / "all.tex").write_text(DOCUMENT % inputs, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in done.stdout
    assert (tmp_path / "all.pdf").stat().st_size > 10_000
