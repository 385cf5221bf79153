"""What tests of several rooms share: tiny models and their plain gradients, stored points, readers
of what the product writes, folders, grids on SLURM, a process's state, the schedulers' contract.
"""

import pytest

pytest.register_assert_rewrite("helpers.scheduler_contract")
