"""SLURM's commands played by a script that keeps the queue in a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

SCRIPT = """#!{python} -S
import json, pathlib, re, sys
folder = pathlib.Path(__file__).resolve().parent
command, words = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
file = folder / "queue.json"
queue = json.loads(file.read_text())
if command == "sbatch":
    text = pathlib.Path(words[-1]).read_text()
    name = re.search("--job-name=(.*)", text)[1]
    last = int(re.search("--array=0-([0-9]+)", text)[1])
    job = 11 + len(list(folder.glob("script-*")))
    (folder / f"script-{{job}}").write_text(text)
    for task in range(last + 1):
        queue[f"{{job}}_{{task}}"] = [name, "PENDING", "Priority"]
    print(job)
if command == "squeue":
    for element, (name, state, reason) in queue.items():
        print(element, state, name, reason, sep="|")
if command == "scancel":
    for element in words[1:]:
        queue.pop(element, None)
if command == "scontrol" and words[0] == "show":
    print("MaxArraySize            = 1001")
if command == "scontrol" and words[0] == "requeue":
    if words[1] not in queue:
        sys.exit("Invalid job id specified")
    queue[words[1]][1:] = ["PENDING", "BeginTime"]
if command == "sacct":
    (jobs,) = [word.partition("=")[2] for word in words if word.startswith("--jobs")]
    for element in jobs.split(","):
        if element not in queue:
            print(element, "OUT_OF_MEMORY", sep="|")
file.write_text(json.dumps(queue))
"""


class PlayedSlurm:
    """A folder of commands that belongs on the path."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._queue = folder / "queue.json"
        self.end()
        for name in ("sbatch", "squeue", "scancel", "scontrol", "sacct", "srun"):
            (folder / name).write_text(SCRIPT.format(python=sys.executable))
            (folder / name).chmod(0o755)

    def end(self) -> None:
        """All jobs end."""
        self._queue.write_text(json.dumps({}))
