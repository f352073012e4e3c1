"""Which package a quantised checkpoint needs of transformers, known before anything is imported."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from tokenreward.errors import BadInput

#: quant_method -> the modules that transformers 5 needs for it, each with what to ask pip for.
_NEEDED: Mapping[str, Mapping[str, str]] = {
    "awq": {"gptqmodel": "gptqmodel"},
    "gptq": {"optimum": "optimum", "gptqmodel": "gptqmodel"},
    "bitsandbytes": {"bitsandbytes": "bitsandbytes"},
    "aqlm": {"aqlm": "aqlm[gpu,cpu]"},
    "auto-round": {"auto_round": "auto-round"},
    "compressed-tensors": {"compressed_tensors": "compressed-tensors"},
    "eetq": {"kernels": "kernels"},
    "fbgemm_fp8": {"fbgemm_gpu": "fbgemm-gpu"},
    "fp_quant": {"fp_quant": "fp_quant"},
    "higgs": {"flute": "flute-kernel"},
    "hqq": {"hqq": "hqq"},
    "quanto": {"optimum.quanto": "optimum-quanto"},
    "quark": {"quark": "amd-quark"},
    "spqr": {"spqr_quant": "spqr_quant"},
    "torchao": {"torchao": "torchao"},
    "vptq": {"vptq": "vptq"},
}


def check_quantization(config: Mapping[str, Any], where: object) -> None:
    """Refuse a quantised checkpoint whose package is not installed; methods that need none pass.

    Args:
        config: The content of config.json.
        where: The model's folder, for the message.

    Raises:
        BadInput: A package is missing.
    """
    section = config.get("quantization_config")
    if section is None:
        return
    method = section.get("quant_method") if isinstance(section, dict) else None
    if method is None and isinstance(section, dict) and (section.get("load_in_4bit") or section.get("load_in_8bit")):
        method = "bitsandbytes"
    if not isinstance(method, str):
        raise BadInput(f"{where}: the quantization_config of config.json has no quant_method")
    missing = [pip for module, pip in _NEEDED.get(method, {}).items() if not _installed(module)]
    if missing:
        raise BadInput(
            f"{where} is quantised by {method}, which needs a package that is not installed: "
            f"pip install {' '.join(missing)}, or take an unquantised checkpoint"
        )


def _installed(module: str) -> bool:
    package = module.partition(".")[0]
    return importlib.util.find_spec(package) is not None and (
        package == module or importlib.util.find_spec(module) is not None
    )
