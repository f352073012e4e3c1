"""The adapters that a host keeps: copies by content, read again from their source, and refused for another base."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.harness.adapters import save_adapter, write_adapter
from tests.support.tiny_checkpoint import save_checkpoint
from tokenreward.checkpoint.adapter import WEIGHTS
from tokenreward.errors import BadInput
from tokenreward.protocol.records import AdapterRef
from tokenreward_workers.model_files import adapters as shelf_module
from tokenreward_workers.model_files.adapters import AdapterShelf


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AdapterShelf:
    monkeypatch.setenv("TOKENREWARD_CACHE", str(tmp_path / "cache"))
    return AdapterShelf(None, "synthetic")


def test_a_version_outlives_its_folder_and_comes_back_from_it(shelf: AdapterShelf, tmp_path: Path) -> None:
    version = write_adapter(tmp_path / "run", 1)
    taken = shelf.take(str(tmp_path / "run"))
    assert taken.version == version == taken.folder.name
    assert [file.name for file in sorted(taken.folder.parent.iterdir())] == [version], "nothing is left half done"
    wanted = AdapterRef(name="run", version=version, source=str(tmp_path / "run"))
    write_adapter(tmp_path / "run", 2)
    assert shelf.find(wanted).folder == taken.folder
    (taken.folder / WEIGHTS).unlink()
    with pytest.raises(BadInput, match=rf"run@{version} is not on this host, and .*run holds version"):
        shelf.find(wanted)
    write_adapter(tmp_path / "run", 1)
    assert (shelf.find(wanted).folder / WEIGHTS).is_file(), "what was damaged is there again"


def test_the_versions_used_last_are_kept(shelf: AdapterShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf_module, "_KEPT", 2)
    versions = []
    for seed in range(3):
        versions.append(write_adapter(tmp_path / "run", seed))
        folder = shelf.take(str(tmp_path / "run")).folder
        os.utime(folder, (seed, seed))
        shelf.find(AdapterRef(name="run", version=versions[0], source="gone"))
    assert {kept.name for kept in folder.parent.iterdir()} == {versions[0], versions[2]}


def test_an_adapter_of_other_weights_is_refused_although_it_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENREWARD_CACHE", str(tmp_path / "cache"))
    base = save_checkpoint(tmp_path / "base")
    other = save_checkpoint(tmp_path / "other", seed=1)
    mine = AdapterShelf(base, "mine", 4)
    assert mine.take(str(save_adapter(base, tmp_path / "good").folder)).rank == 4
    foreign = save_adapter(other, tmp_path / "foreign").folder
    with pytest.raises(BadInput, match=f"{foreign} was trained on {other}, whose weights are not those of mine"):
        mine.take(str(foreign))
    wide = save_adapter(base, tmp_path / "wide", r=8).folder
    with pytest.raises(BadInput, match=r"rank 8, and this worker takes up to 4: start it with --max-adapter-rank 8"):
        mine.take(str(wide))
    with pytest.raises(BadInput, match="no such directory"):
        mine.take(str(tmp_path / "nowhere"))
