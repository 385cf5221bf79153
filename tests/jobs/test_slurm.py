"""SLURM's commands, played by scripts: what is sent to sbatch and read from squeue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gradsweep.errors import ConfigError, SchedulerError
from gradsweep.jobs.records import submissions, submitted_array
from gradsweep.jobs.schedulers import submission_environment
from gradsweep.jobs.schedulers.slurm import SlurmScheduler, SlurmSettings
from gradsweep.jobs.schedulers.slurm.commands import Queued, queue
from gradsweep.jobs.submit import submit
from gradsweep.plan import Plan

MakePlan = Callable[..., Plan]


@pytest.fixture
def commands(commands: Callable[[str, str], None]) -> Callable[[str, str], None]:
    """With an sbatch of several clusters, which names the one that took the job."""
    commands("sbatch", "echo '12;cluster'")
    return commands


def script_of(plan: Plan, settings: SlurmSettings) -> str:
    submit(plan, SlurmScheduler(settings), ["command"])
    (paths, _), *_ = submissions(Path(plan.results))
    assert submitted_array(paths, 0).job_id == "12"  # type: ignore[union-attr]
    return paths.script(0).read_text()


def test_the_script_asks_for_what_was_set(
    grid: MakePlan, commands: Callable[[str, str], None]
) -> None:
    settings = SlurmSettings(
        points_per_job=1,
        array_parallelism=2,
        partition="gpu",
        gpus_per_node=1,
        cpus_per_task=4,
        mem_gb=32,
        timeout_min=90,
        setup=["module load cuda"],
        additional_parameters={"mail-type": "END", "exclusive": True},
    )
    text = script_of(grid("seed=0,1,2"), settings)
    for line in (
        "--array=0-2%2",
        "--partition=gpu",
        "--gpus-per-node=1",
        "--mem=32GB",
        "--time=90",
        "--requeue",
        "--signal=USR2@60",
        "--mail-type=END",
        "--exclusive",
    ):
        assert f"#SBATCH {line}\n" in text, text
    assert "module load cuda" in text
    step = text.split("srun", 1)[1]
    assert "--cpus-per-task=4 " in step, "a step does not inherit its CPUs"
    assert "--ntasks=1 " in step, "one process, also where a job has a whole node"


def test_processes_of_a_job_are_tasks_of_its_step(
    grid: MakePlan, commands: Callable[[str, str], None]
) -> None:
    settings = SlurmSettings(tasks_per_node=4, gpus_per_node=4, shards=2, snapshot=False)
    text = script_of(grid("seed=0"), settings)
    for line in ("--ntasks-per-node=4", "--gpus-per-node=4", "--array=0-1%2"):
        assert f"#SBATCH {line}\n" in text, text
    assert "--ntasks=4 " in text.split("srun", 1)[1]


def test_a_job_over_several_nodes_has_its_processes_on_all_of_them(
    grid: MakePlan, commands: Callable[[str, str], None]
) -> None:
    settings = SlurmSettings(nodes=2, tasks_per_node=4, gpus_per_node=4, snapshot=False)
    text = script_of(grid("seed=0", "model.placement=fsdp"), settings)
    for line in ("--nodes=2", "--ntasks-per-node=4", "--gpus-per-node=4"):
        assert f"#SBATCH {line}\n" in text, text
    step = text.split("srun", 1)[1]
    assert "--nodes=2 " in step
    assert "--ntasks=8 " in step


def test_a_refusal_is_shown_in_sbatchs_words(
    grid: MakePlan, commands: Callable[[str, str], None]
) -> None:
    commands("sbatch", "echo 'invalid partition specified: gpus' >&2; exit 1")
    with pytest.raises(SchedulerError, match="invalid partition specified: gpus"):
        submit(grid("seed=0"), SlurmScheduler(SlurmSettings(snapshot=False)), ["command"])


def test_a_queue_that_does_not_answer_is_an_error_not_an_empty_queue(
    commands: Callable[[str, str], None],
) -> None:
    commands("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(SchedulerError, match="Unable to contact"):
        queue()


def test_only_our_own_jobs_are_read_from_the_queue(commands: Callable[[str, str], None]) -> None:
    commands("squeue", "printf '3_0|PENDING|gradsweep-ab12-0|Priority\\n4|RUNNING|bash|None\\n'")
    assert queue() == {"3_0": Queued("gradsweep-ab12-0", "PENDING", "Priority")}


def test_a_cluster_without_slurm_says_what_to_use(
    grid: MakePlan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SchedulerError, match=r"hydra/launcher=local"):
        submit(grid("seed=0"), SlurmScheduler(SlurmSettings(snapshot=False)), ["command"])


def test_an_enclosing_job_hands_nothing_down() -> None:
    outer = {
        "SLURM_JOB_ID": "1",
        "SLURM_MEM_PER_NODE": "99",
        "SLURM_CONF": "/etc/other.conf",
        "CUDA_VISIBLE_DEVICES": "3",
        "SBATCH_ACCOUNT": "mine",
        "HOME": "/root",
    }
    assert submission_environment(outer) == {
        "SLURM_CONF": "/etc/other.conf",
        "SBATCH_ACCOUNT": "mine",
        "HOME": "/root",
    }
    login = {"CUDA_VISIBLE_DEVICES": "0"}
    assert submission_environment(login) == login


def test_an_option_that_sbatch_does_not_have_is_named(
    grid: MakePlan, commands: Callable[[str, str], None]
) -> None:
    with pytest.raises((ConfigError, TypeError), match="colour"):
        submit(grid("seed=0"), SlurmScheduler(SlurmSettings(colour="red")), ["command"])  # type: ignore[call-arg]


@pytest.mark.parametrize("silent", ["squeue", "scontrol"])
def test_without_a_controller_clients_are_given_up_before_anything_is_written(
    grid: MakePlan,
    commands: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    silent: str,
) -> None:
    module = "gradsweep.jobs.schedulers.slurm.commands"
    monkeypatch.setattr(f"{module}.SILENT_SECONDS", 0.3)
    monkeypatch.setattr(f"{module}.PING_SECONDS", 0.3)
    commands("scontrol", "exec /bin/sleep 600" if silent == "scontrol" else "echo DOWN; exit 1")
    commands("squeue", "exec /bin/sleep 600")
    with pytest.raises(SchedulerError, match=r"no controller of SLURM is there.*launcher=local"):
        if silent == "squeue":
            queue()
        else:
            submit(grid("seed=0"), SlurmScheduler(SlurmSettings(snapshot=False)), ["command"])
    assert not list(Path("results").rglob("submission.json"))


def test_a_controller_that_is_busy_is_waited_for(
    commands: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("gradsweep.jobs.schedulers.slurm.commands.SILENT_SECONDS", 0.05)
    commands("scontrol", "echo 'Slurmctld(primary) at here is UP'")
    commands("squeue", "/bin/sleep 0.5; echo '3_0|PENDING|gradsweep-ab12-0|Priority'")
    assert list(queue()) == ["3_0"]
    assert "squeue has not answered" in capsys.readouterr().err


def test_without_a_controller_nobody_is_asked_again(
    commands: Callable[[str, str], None], tmp_path: Path
) -> None:
    commands("scontrol", "echo 'Slurmctld(primary) at here is DOWN'")
    commands("squeue", f"echo asked >>{tmp_path}/asked; echo 'no route' >&2; exit 1")
    with pytest.raises(SchedulerError, match="no route"):
        queue()
    assert (tmp_path / "asked").read_text() == "asked\n"
