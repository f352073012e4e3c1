"""How many rows of logits are held at once."""

from __future__ import annotations

import pytest
import torch

from tokenreward_trainer.model.devices import ACCELERATOR_CHUNK_ROWS, CPU_CHUNK_ELEMENTS, logit_rows, rows_within

GIB = 1 << 30


def test_a_cpu_holds_a_fixed_number_of_logits() -> None:
    assert logit_rows(1 << 15, torch.device("cpu")) == 512
    assert logit_rows(1 << 30, torch.device("cpu")) == 1


@pytest.mark.parametrize(("memory", "rows"), [(10 * GIB, ACCELERATOR_CHUNK_ROWS), (GIB, 1024), (0, 110), (-GIB, 110)])
def test_an_accelerator_holds_as_many_rows_as_its_memory_allows(memory: int, rows: int) -> None:
    vocabulary = 151_936
    assert rows_within(memory, vocabulary) == rows
    assert rows >= CPU_CHUNK_ELEMENTS // vocabulary
