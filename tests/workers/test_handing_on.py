"""What one model found out of an item goes to the next model of the job, whole or as the reason for nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.worker_shards import claimed
from tokenreward.protocol.parts import Part, pack_part, unpack_part
from tokenreward.protocol.records import Corrupt
from tokenreward.schema import ItemFailure
from tokenreward_workers.scoring import ScoringFailed
from tokenreward_workers.shards.handing_on import check_same_ids, parts_of, take_over

ROWS = {
    "better": np.array([[-1.5], [-0.25], [-1]], dtype=np.float32),
    "wrong[0]": np.array([[-2], [-3], [-4]], dtype=np.float32),
}


def test_a_part_is_read_as_it_was_written() -> None:
    found = unpack_part(pack_part(Part((5, 6), ROWS)))
    assert found.response == (5, 6)
    assert found.failure is None
    assert {branch: row.tolist() for branch, row in found.rows.items()} == {
        branch: row.tolist() for branch, row in ROWS.items()
    }
    failure = ItemFailure(code="too_long", message="ü")
    assert unpack_part(pack_part(Part(failure=failure))).failure == failure
    for data in (b"", b"nonsense", pack_part(Part((5,), ROWS))[:-30]):
        with pytest.raises(Corrupt):
            unpack_part(data)


def test_the_next_model_adds_its_rows_to_those_of_the_one_before() -> None:
    shard = claimed("a" * 32, 3)
    failed = ItemFailure(code="too_long", message="long")
    response = shard.scorings[0].response
    take_over(shard.places, {0: Part(response, ROWS), 1: Part(failure=failed)})
    check_same_ids(shard.places)
    assert [place.failure and place.failure.code for place in shard.places] == [None, "too_long", "engine_error"]
    assert {branch: row.logprobs.tolist() for branch, row in shard.places[0].given.items()} == {
        "better": [-1.5, -0.25, -1.0],
        "wrong[0]": [-2.0, -3.0, -4.0],
    }
    shard.settle(0, ScoringFailed("engine_error", "no"))
    assert [part.failure and part.failure.code for _, _, part in parts_of(shard)] == [
        "engine_error",
        "too_long",
        "engine_error",
    ]
    other = claimed("b" * 32, 1)
    take_over(other.places, {0: Part((1, 2, 3), ROWS)})
    check_same_ids(other.places)
    assert other.places[0].failure is not None
    assert "chat templates differ" in other.places[0].failure.message
