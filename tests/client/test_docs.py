"""Every Python snippet of docs/client.md runs as it stands, against a real service and with real files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.stack import Stack
from tokenreward_workers.engines import synthetic as engine

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
SNIPPETS = [
    pytest.param(code, id=re.sub(r"\W+", "-", f"{heading} {number}").lower())
    for heading, section in re.findall(r"^## (.+)\n((?:(?!^## )[\s\S])*)", PAGE.read_text(), re.MULTILINE)
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", section, re.DOTALL), 1)
]


def policy_and_tokenizer() -> dict[str, Any]:
    """A tiny random policy that shares the synthetic engine's tokenizer."""
    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    ours = engine.chat_format()
    backend = Tokenizer.from_str(ours.tokenizer.serialized)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = ours.chat_template
    config = LlamaConfig(
        vocab_size=engine.VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    policy = LlamaForCausalLM(config)
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
    return {"policy": policy, "tokenizer": tokenizer, "optimizer": optimizer}


@pytest.mark.slow
@pytest.mark.parametrize("code", SNIPPETS)
def test_a_snippet_of_the_clients_page_runs(
    code: str, synthetic: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKENREWARD_URL", synthetic.url)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    pairs = [{"prompt": f"p{i}", "chosen": f"good {i}", "rejected": f"bad {i}"} for i in range(20)]
    responses = [{"prompt": f"p{i}", "response": f"r{i}"} for i in range(300)]
    pq.write_table(pa.Table.from_pylist(pairs), "pairs.parquet")
    Path("pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    Path("responses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in responses))
    names: dict[str, Any] = {"prompts": ["What is 2+2?", "Who are you?"], "__name__": "__main__"}
    if "policy" in code:
        names |= policy_and_tokenizer()
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 (our own page)
    if "labeled" in names:
        rows = names["labeled"].dataset() if hasattr(names["labeled"], "reasons") else names["labeled"]
        columns = [name.removesuffix("_ids") for name in rows.column_names if name.endswith("token_ids")]
        assert columns
        assert all(len(row[f"{c}_ids"]) == len(row[f"{c}_rewards"]) > 0 for row in rows for c in columns)


def test_the_page_has_the_snippets_it_promises() -> None:
    assert len(SNIPPETS) >= 8
