"""Every Redis key has its name from `protocol/keys.py`, and the scripts spell the same names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tokenreward.protocol import keys
from tokenreward.protocol.scripts import NAMES, source

from .conftest import Parts

ROOT = Path(__file__).parents[2]
LUA = ROOT / "client" / "tokenreward" / "protocol" / "lua"
PACKAGES = ("client/tokenreward", "service/tokenreward_service", "workers/tokenreward_workers")
_NAME = re.compile(r"(?<![A-Za-z])tr:")


def literals(file: Path) -> list[str]:
    """The text constants of a module, without docstrings and without the wildcard of the service's own access rule."""
    tree = ast.parse(file.read_text("utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and _starts(node)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [str(node.value).replace("~tr:*", "") for node in constants if id(node) not in docstrings]


def _starts(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return bool(node.body) and isinstance(node.body[0], ast.Expr)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_but_one_spells_a_key_out(package: str) -> None:
    files = [file for file in (ROOT / package).rglob("*.py") if file.name != "keys.py"]
    assert files
    assert [(str(file), text) for file in files for text in literals(file) if _NAME.search(text)] == []


def test_no_script_spells_a_key_out() -> None:
    for file in LUA.glob("*.lua"):
        code = re.sub(r"--.*", "", file.read_text("utf-8"))
        assert not _NAME.search(code), file.name


def test_there_is_one_file_for_each_script_and_one_script_for_each_file() -> None:
    assert sorted(NAMES) == sorted(file.stem for file in LUA.glob("*.lua") if not file.stem.startswith("_"))


def test_every_name_in_the_list_is_used_by_python_or_by_lua() -> None:
    scripts = "".join(file.read_text("utf-8") for file in LUA.glob("*.lua"))
    module = Path(keys.__file__).read_text("utf-8")
    for name in keys.PATTERNS:
        assert re.search(rf'PATTERNS\["{name}"\]', module) or re.search(rf"\btr\.{name}\b", scripts), name


def test_lua_spells_the_names_that_python_spells(run) -> None:
    async def scenario(parts: Parts) -> None:
        code = keys.lua(keys.PATTERNS) + (
            "return {tr.job('j'), tr.items('j'), tr.results('j'), tr.ranges('j'), tr.shards('j'), tr.jobs('o'),"
            " tr.shard('s'), tr.queued('f'), tr.worker('w'), tr.cache('f', 'h'), tr.idempotency('o', 'k'), tr.claimed,"
            " tr.workers, tr.models, tr.events, tr.reconciler, tr.counters, tr.apikeys, tr.spilled, tr.store_limit,"
            " tr.parts('j'), tr.adapters('h', 'm'), tr.adapter_orders('f'), tr.adapter_answer('o'), tr.probes('f'),"
            " tr.run('o', 'r'), tr.audits('o')}"
        )
        spelled = [name.decode() for name in await parts.redis.eval(code, 0)]
        assert spelled == [
            *(keys.job("j"), keys.items("j"), keys.results("j"), keys.ranges("j"), keys.shards("j"), keys.jobs("o")),
            *(keys.shard("s"), keys.queued("f"), keys.worker("w"), keys.cached("f", "h"), keys.idempotency("o", "k")),
            *(keys.CLAIMED, keys.WORKERS, keys.MODELS, keys.EVENTS, keys.RECONCILER_LOCK, keys.COUNTERS),
            *(keys.API_KEYS, keys.SPILLED, keys.STORE_LIMIT, keys.parts("j"), keys.adapters("m", "h")),
            *(keys.adapter_orders("f"), keys.adapter_answer("o"), keys.probes("f")),
            *(keys.run("o", "r"), keys.audits("o")),
        ]

    run(scenario)


def test_globs_stand_for_every_key_of_their_kind() -> None:
    assert keys.glob("shard") == "tr:shard:*"
    assert keys.glob("cache") == "tr:cache:*"
    assert keys.glob("items") == "tr:job:*:items"
    assert keys.glob("claimed") == "tr:claimed"


def test_a_script_that_names_an_unknown_key_is_refused_when_it_is_loaded() -> None:
    with pytest.raises(KeyError):
        keys.lua(["no_such_key"])
    for name in NAMES:
        assert source(name).startswith("local tr = {}\n")
