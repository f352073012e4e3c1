"""Which tests share a process when pytest-xdist runs the suite in several, and which of them come first.

The tests of a file stay together, and so do files that start the same dear thing: else each process would start its
own. What takes longest comes first, so that the processes end together.

`--dist loadgroup` would do most of this, but it writes its groups into `_nodeid`, which pytest 9.2 no longer reads: it
then deals out single tests without a word (pytest-dev/pytest-xdist#1386). To be looked at again when that is closed.
"""

from __future__ import annotations

from typing import Any

import pytest

#: Files that are one unit of work, by a name for it.
TOGETHER = {
    "the demo model, served": ("e2e/test_audit.py", "e2e/test_real_model.py", "web/test_real_model.py"),
    "a tiny policy, served": ("trainer/test_pipeline.py", "trainer/test_labels_from_the_service.py"),
}

#: What takes long, longest first; everything else follows in the usual order.
FIRST = (
    "workers/test_gpu_benchmark.py",
    "e2e/test_real_model.py",
    "workers/test_vllm_runners.py",
    "trainer/test_pipeline.py",
    "workers/test_vllm.py",
    "trainer/test_sampling.py",
    "faults/test_faults.py",
    "deploy/test_parity.py",
    "faults/test_machinery.py",
    "trainer/test_run.py",
    "client/test_label_dataset.py",
    "service/test_fuzz.py",
    "service/test_keys.py",
    "service/test_limits.py",
    "deploy/test_rolling.py",
    "deploy/test_hosts.py",
    "e2e/test_embedded.py",
    "web/test_accessibility.py",
    "workers/test_packed_long.py",
    "trainer/test_invariance.py",
)

_GROUPS = {f"tests/{file}": name for name, files in TOGETHER.items() for file in files}


def group_of(nodeid: str) -> str:
    """Returns the unit of work that a test belongs to: its file, or the name of several."""
    file = nodeid.partition("::")[0]
    return _GROUPS.get(file, file)


def longest_first(items: list[pytest.Item]) -> None:
    """Sorts tests by their units: those of `FIRST` in its order, then the others as they were."""
    ranks = {group_of(f"tests/{file}"): rank for rank, file in reversed([*enumerate(FIRST)])}
    items.sort(key=lambda item: ranks.get(group_of(item.nodeid), len(ranks)))


def by_group(config: pytest.Config, log: Any) -> Any:
    """Returns the scheduler of pytest-xdist that hands out these units in the order of the tests."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return ByGroup(config, log)
