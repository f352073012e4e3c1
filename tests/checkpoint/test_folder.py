"""What is said of a model's folder without torch: which files are the weights, and what is wrong with any of them."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.waiting import patience
from tokenreward.checkpoint.folder import check_folder
from tokenreward.checkpoint.quantization import check_quantization
from tokenreward.checkpoint.safetensors_file import read_header
from tokenreward.checkpoint.vocabulary import rows_of
from tokenreward.checkpoint.weight_files import refuse_strays, weight_files
from tokenreward.errors import BadInput

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"


def safetensors(file: Path, *names: str) -> None:
    """Writes two float32 numbers under each name."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for n, name in enumerate(names):
        header[name] = {"dtype": "F32", "shape": [2], "data_offsets": [8 * n, 8 * n + 8]}
    encoded = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(encoded)) + encoded + bytes(8 * len(names)))


def index(folder: Path, kind: str, *shards: str) -> None:
    names = {f"weight.{n}": shard for n, shard in enumerate(shards)}
    (folder / f"{kind}.index.json").write_text(json.dumps({"weight_map": names}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    (made / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (made / "tokenizer.json").write_text(json.dumps({"model": {}}))
    (made / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    safetensors(made / "model.safetensors", "a", "b")
    return made


def refusal(folder: Path) -> str:
    with pytest.raises(BadInput) as caught:
        check_folder(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_whole_folder_gives_its_configuration(folder: Path) -> None:
    assert check_folder(folder) == {"model_type": "llama"}
    assert weight_files(folder) == [folder / "model.safetensors"]
    assert read_header(folder / "model.safetensors")["b"].shape == (2,)


def test_looking_through_a_folder_loads_neither_torch_nor_transformers(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tokenreward.checkpoint.folder import check_folder;"
        "import tokenreward.checkpoint.loading, tokenreward.checkpoint.keys, tokenreward.checkpoint.hub;"
        f"check_folder(Path({str(folder)!r})); assert not {{'torch', 'transformers'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=patience(60))


@pytest.mark.parametrize("adapter", ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"])
def test_an_adapter_beside_full_weights_is_refused_and_an_adapter_alone_is_to_be_merged(
    folder: Path, adapter: str
) -> None:
    (folder / adapter).write_text("{}")
    assert "beside full weights: remove one" in refusal(folder)
    (folder / "model.safetensors").unlink()
    assert "is an adapter and no whole model; merge it first" in refusal(folder)
    (folder / "config.json").unlink()
    assert "merge it first" in refusal(folder)


def test_an_adapter_in_a_folder_below_is_nobodys_business(folder: Path) -> None:
    (folder / "checkpoint-10").mkdir()
    (folder / "checkpoint-10" / "adapter_config.json").write_text("{}")
    check_folder(folder)


def test_shards_are_those_of_the_index_and_all_have_to_be_there(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index(folder, "model.safetensors", "model-1.safetensors", "model-2.safetensors", "model-3.safetensors")
    safetensors(folder / "model-1.safetensors", "a")
    assert "lacks model-2.safetensors and 1 more of the 3 files" in refusal(folder)
    safetensors(folder / "model-2.safetensors", "b")
    assert "lacks model-3.safetensors of the 3 files" in refusal(folder)
    safetensors(folder / "model-3.safetensors", "c")
    safetensors(folder / "model-00001-of-00009.safetensors", "a")  # of an earlier save
    assert [file.name for file in weight_files(folder)] == [f"model-{n}.safetensors" for n in (1, 2, 3)]
    check_folder(folder)
    safetensors(folder / "model-3.safetensors", "b")
    assert "b is both in model-2.safetensors and in model-3.safetensors" in refusal(folder)


def test_two_sets_of_weights_are_refused_because_engines_would_take_different_ones(folder: Path) -> None:
    index(folder, "model.safetensors", "model-1.safetensors")
    safetensors(folder / "model-1.safetensors", "a")
    assert "two sets of weights" in refusal(folder)
    index(folder, "model.safetensors", "model.safetensors")
    check_folder(folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1]", "holds no JSON object"),
        ('{"weight_map": {}}', "has no weight_map"),
        ('{"weight_map": {"a": "../other.safetensors"}}', "is not beside it"),
        ("", "is empty"),
        (POINTER, "Git LFS pointer"),
    ],
)
def test_an_index_that_names_no_files_is_refused(folder: Path, content: str, said: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(content)
    assert said in refusal(folder)


def test_a_file_that_is_cut_or_too_long_or_none_at_all_is_said_so(folder: Path) -> None:
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    for content, said in (
        (whole[: len(whole) // 2], "is cut off"),
        (whole[:-1], f"is cut off: it has {len(whole) - 1} bytes of {len(whole)}"),
        (whole + b"more", "it is damaged"),
        (b"", "is no safetensors file (0 bytes)"),
        (b"\x80\x02pickled numbers", "is no safetensors file"),
        (struct.pack("<Q", 6) + b"[1, 2]", "its header cannot be read"),
        (POINTER.encode(), "Git LFS pointer"),
    ):
        file.write_bytes(content)
        assert said in refusal(folder)


def test_torchs_own_files_are_taken_where_there_are_no_safetensors(folder: Path) -> None:
    pickle = folder / "pytorch_model.bin"
    pickle.write_text("nobody looks at it")
    check_folder(folder)
    (folder / "model.safetensors").unlink()
    assert "is no file of weights" in refusal(folder)
    with zipfile.ZipFile(pickle, "w") as archive:
        archive.writestr("data.pkl", b"x" * 1000)
    check_folder(folder)
    pickle.write_bytes(pickle.read_bytes()[:-30])
    assert "a zip archive without its end" in refusal(folder)
    pickle.write_text(POINTER)
    assert "git lfs pull" in refusal(folder)


@pytest.mark.parametrize("name", ["model.fp16.safetensors", "consolidated.safetensors", "model.gguf"])
def test_weights_under_another_name_are_named(folder: Path, name: str) -> None:
    (folder / "model.safetensors").rename(folder / name)
    assert f"has no weights (model.safetensors); {name} is not what" in refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"])
@pytest.mark.parametrize("content", ["", "{broken", "[]", POINTER, "\x00\ud800"])
def test_a_damaged_small_file_is_refused_by_its_name(folder: Path, name: str, content: str) -> None:
    (folder / name).write_bytes(content.encode("utf-8", "surrogatepass"))
    assert name in refusal(folder)


def test_another_files_content_under_a_name_is_refused(folder: Path) -> None:
    config, tokenizer = (folder / name for name in ("config.json", "tokenizer.json"))
    about = folder / "tokenizer_config.json"
    contents = [config.read_text(), tokenizer.read_text()]
    config.write_text(contents[1])
    assert "has no model_type" in refusal(folder)
    config.write_text(contents[0])
    tokenizer.write_text(contents[0])
    assert "is no tokenizer" in refusal(folder)
    tokenizer.write_text(contents[1])
    about.write_text(json.dumps({"eos_token_id": 2, "transformers_version": "5"}))
    assert "is another file's content" in refusal(folder)


def test_a_chat_template_has_to_be_text_and_its_special_tokens_have_to_be_said(folder: Path) -> None:
    template = folder / "chat_template.jinja"
    for content, said in ((b"", "is empty"), (b"\xff\xfe", "is no text in UTF-8"), (POINTER.encode(), "pointer")):
        template.write_bytes(content)
        assert said in refusal(folder)
    template.write_text("{{ bos_token }}")
    check_folder(folder)
    (folder / "tokenizer_config.json").unlink()
    assert "has a chat template, but no tokenizer_config.json" in refusal(folder)
    template.unlink()
    check_folder(folder)
    (folder / "tokenizer.json").unlink()
    assert "has no tokenizer" in refusal(folder)


def test_a_quantised_checkpoint_names_what_pip_has_to_install(folder: Path) -> None:
    check_quantization({"quantization_config": None}, folder)
    check_quantization({"quantization_config": {"quant_method": "fp8"}}, folder)
    for method, pip in (("awq", "gptqmodel"), ("gptq", "optimum gptqmodel"), ("bitsandbytes", "bitsandbytes")):
        with pytest.raises(BadInput, match=f"is quantised by {method}, .*pip install {pip}"):
            check_quantization({"quantization_config": {"quant_method": method}}, folder)
    with pytest.raises(BadInput, match="pip install bitsandbytes"):
        check_quantization({"quantization_config": {"load_in_4bit": True}}, folder)
    with pytest.raises(BadInput, match="no quant_method"):
        check_quantization({"quantization_config": {"bits": 4}}, folder)


def test_safetensors_beside_the_models_own_are_refused_for_vllm_unless_an_index_tells_them_apart(folder: Path) -> None:
    refuse_strays(folder)
    safetensors(folder / "extra.safetensors", "a")
    with pytest.raises(BadInput, match=r"extra\.safetensors beside model\.safetensors"):
        refuse_strays(folder)
    index(folder, "model.safetensors", "model.safetensors")
    refuse_strays(folder)


def test_the_rows_of_the_embedding_are_those_of_the_text_model() -> None:
    assert rows_of({"vocab_size": 10}) == 10
    assert rows_of({"text_config": {"vocab_size": 11}, "vision_config": {"vocab_size": 2}}) == 11
    assert rows_of({"hidden_size": 4}) is None
