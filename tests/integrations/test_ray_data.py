"""Ray Data reads parquet, labels it with actors, and writes parquet; a second run asks nobody."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.harness.stack import Stack, http
from tokenreward.integrations.ray_data import RayLabeler, label

pytest.importorskip("ray", reason="Ray is not installed")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_parquet_goes_in_and_labeled_parquet_comes_out(synthetic: Stack, tmp_path: Path) -> None:
    import pyarrow as pa
    import ray

    rows = pa.table({"prompt": [f"p{n}" for n in range(6)], "response": [f"answer {n}" for n in range(6)]})
    pq.write_table(rows, tmp_path / "rows.parquet")
    # A task that reads books a whole CPU, and an actor that labels a quarter of one: one CPU would wait for ever.
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        data = ray.data.read_parquet(str(tmp_path / "rows.parquet"))
        options = {"batch_size": 4, "concurrency": 1, "url": synthetic.url}
        label(data, tmp_path / "labels", **options).write_parquet(str(tmp_path / "out"))
    finally:
        ray.shutdown()
    found = pq.read_table(tmp_path / "out").sort_by("prompt").to_pylist()
    answer = http.post(
        synthetic.url + "/v1/label",
        json={"items": [{"prompt": row["prompt"], "response": row["response"]} for row in found]},
    ).json()
    assert [row["token_rewards"] for row in found] == [result["rewards"] for result in answer["results"]]
    again = RayLabeler(tmp_path / "labels", url="http://127.0.0.1:9", patience=0)
    assert again(rows.slice(0, 4)).num_rows == 4
