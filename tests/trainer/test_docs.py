"""What docs/training.md shows, runs."""

from __future__ import annotations

import json
import re
import runpy
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.prompts.demo_pairs import write_pairs
from tokenreward_trainer.training.settings import run_of, shipped
from tokenreward_trainer.training.trainings import arguments_of

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_configuration_shown_is_valid() -> None:
    arguments_of(run_of(tomllib.loads(block("toml"))), use_cpu=True)


def test_every_option_in_the_table_exists() -> None:
    from tokenreward_trainer.training.config import PreferenceConfig

    rows = re.findall(r"^\| (`[a-z_`, ]+) \|", PAGE, re.MULTILINE)
    options = [name for row in rows for name in re.findall(r"`([a-z_]+)`", row)]
    assert len(options) > 10
    assert all(name in PreferenceConfig.__dataclass_fields__ for name in options)


def test_the_python_shown_trains(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    llama: Callable[..., LlamaForCausalLM],
    tokenizer: PreTrainedTokenizerFast,
    labeled: Callable[[Path], None],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    llama().save_pretrained("my-model")
    tokenizer.save_pretrained("my-model")
    labeled(tmp_path / "labeled.jsonl")
    (tmp_path / "example.py").write_text(block("python"))
    trained = runpy.run_path("example.py")
    assert trained["trainer"].state.global_step > 0
    assert isinstance(trained["found"].pairs[0], Pair)


@pytest.fixture
def labeled(llama: Callable[..., LlamaForCausalLM], tokenizer: PreTrainedTokenizerFast) -> Callable[[Path], None]:
    """Writes a labeled file as the client does, its rewards made up."""
    from tokenreward.chat_format import ChatFormat
    from tokenreward.schema import Fingerprint, Provenance

    chat = ChatFormat.from_pretrained_tokenizer(tokenizer)
    parts = {"model": "m", "model_hash": "h", "engine": "e", "engine_version": "1", "dtype": "float32"}
    fingerprint = Fingerprint(tokenizer_hash=chat.hash, **parts)
    hashes = {"template_hash": "t", "estimator_hash": "e", "tokenreward_version": "0"}
    provenance = Provenance(
        fingerprint=fingerprint, fingerprint_digest="d", template="revision", estimator="contrast", **hashes
    )

    def write(path: Path) -> None:
        write_pairs(path, 6)
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows:
            for side in ("chosen", "rejected"):
                ids = chat.answer_ids(row[side])
                row |= {
                    f"{side}_token_ids": ids,
                    f"{side}_token_rewards": [0.25] * len(ids),
                    f"{side}_token_error": None,
                }
        path.write_text("\n".join(map(json.dumps, rows)))
        meta = {"provenance": provenance.model_dump(mode="json")}
        path.with_name(path.name + ".meta.json").write_text(json.dumps(meta))

    return write


def test_the_page_names_a_shipped_configuration() -> None:
    assert "tokenreward train demo" in PAGE
    assert "demo" in shipped()
