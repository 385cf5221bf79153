"""A W&B server for tests, on 127.0.0.1: the part of the protocol that the real client uses.

    with Receiver(tmp_path / "server") as receiver:
        os.environ.update(receiver.environment)
        ...  # wandb.init, run.log, run.finish; wandb.Api; wandb_workspaces
        receiver.run("run-id").history

It speaks GraphQL (`operations`, `views`), the file stream of runs, and uploads of files and
artifacts. `Faults` make it slow, failing or gone. Tests that ask for something it does not know
find the query in `receiver.unsupported`.
"""

from wandb_receiver.faults import Faults
from wandb_receiver.receiver import Receiver
from wandb_receiver.runs import ReceivedRun

__all__ = ["Faults", "ReceivedRun", "Receiver"]
