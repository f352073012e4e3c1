"""The adapters that this host has: each version in a folder of its own, named by the hash of its content.

What is put is copied first. So a training run may overwrite its folder with the next version, and jobs that were
accepted with an earlier one are still scored with that. A version that is not here is read again from where it was put,
and taken if its content is the same.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import cached_property
from pathlib import Path

from tokenreward.checkpoint.adapter import CONFIG, WEIGHTS, AdapterFiles, check_fit, read_adapter
from tokenreward.checkpoint.hub import find_model
from tokenreward.checkpoint.loading import in_one_line
from tokenreward.errors import BadInput
from tokenreward.protocol.records import AdapterRef
from tokenreward_workers.engines.linears import Linears, linears_of_folder
from tokenreward_workers.model_files.fingerprint import model_hash
from tokenreward_workers.model_files.resolve import cache_dir
from tokenreward_workers.scoring import Adapter

#: Versions that are kept on disk; the one that was not used for longest goes first.
_KEPT = 256


class AdapterShelf:
    """Adapters of one model, on this host. Threads and processes may share the folder."""

    def __init__(self, model: Path | None, name: str, most_rank: int | None = None) -> None:
        """Keep adapters in the cache folder.

        Args:
            model: The base model's directory; None for an engine without a model, which takes any adapter.
            name: What the base model is called, for messages.
            most_rank: The largest rank that the engine takes; None for any.
        """
        self._model = model
        self._name = name
        self._most_rank = most_rank
        self._folder = cache_dir() / "adapters"

    def take(self, source: str) -> AdapterFiles:
        """Read an adapter, check that it fits the model, and keep a copy.

        Args:
            source: Its folder, or its name on the hub.

        Returns:
            The adapter, in the folder where it stays.

        Raises:
            BadInput: It cannot be read, or the engine cannot use it.
        """
        with in_one_line(f"adapter {source!r}"):
            found = find_model(source)
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".taken-", dir=self._folder) as scratch:
                for name in (CONFIG, WEIGHTS):
                    if (found / name).is_file():
                        shutil.copyfile(found / name, Path(scratch) / name)
                files = self._read(Path(scratch), found)
                kept = self._folder / files.version
                if not (kept / WEIGHTS).is_file():
                    shutil.rmtree(kept, ignore_errors=True)  # what is left of one that somebody has damaged
                    self._move(Path(scratch), kept)
            self._let_go(files.version)
            return AdapterFiles(kept, files.version, files.layers, files.base)

    def find(self, wanted: AdapterRef) -> Adapter:
        """Return an adapter that a job is pinned to.

        Raises:
            BadInput: It is not here, and what is where it was put is another version or cannot be used.
        """
        folder = self._folder / wanted.version
        if not (folder / WEIGHTS).is_file():
            found = self.take(wanted.source).version
            if found != wanted.version:
                raise BadInput(
                    f"adapter {wanted.name}@{wanted.version} is not on this host, and {wanted.source} holds version "
                    f"{found} now: put it back, or label with the version that is there"
                )
        os.utime(folder)
        return Adapter(wanted.version, folder)

    @cached_property
    def _linears(self) -> Linears:
        assert self._model is not None
        return linears_of_folder(self._model)

    def _read(self, copied: Path, source: Path) -> AdapterFiles:
        """Look through a copy; messages name the source."""
        try:
            files = read_adapter(copied)
        except BadInput as error:
            raise BadInput(str(error).replace(str(copied), str(source))) from error
        if self._model is None:
            return files
        at_home = AdapterFiles(source, files.version, files.layers, files.base)
        self._check_base(at_home)
        check_fit(at_home, self._linears, self._name)
        if self._most_rank is not None and files.rank > self._most_rank:
            raise BadInput(
                f"the adapter in {source} has rank {files.rank}, and this worker takes up to {self._most_rank}: start "
                f"it with --max-adapter-rank {files.rank}"
            )
        return files

    def _check_base(self, files: AdapterFiles) -> None:
        """Refuse an adapter whose base lies on this host and has other weights."""
        assert self._model is not None
        base = Path(files.base).expanduser()
        if not files.base or not (base / "config.json").is_file() or base.resolve() == self._model.resolve():
            return
        if model_hash(base) != model_hash(self._model):
            raise BadInput(
                f"the adapter in {files.folder} was trained on {files.base}, whose weights are not those of "
                f"{self._name}: serve that model, or train the adapter on this one"
            )

    @staticmethod
    def _move(scratch: Path, kept: Path) -> None:
        whole = kept.with_name(f"{scratch.name}-whole")
        shutil.copytree(scratch, whole)
        try:
            whole.rename(kept)
        except OSError:  # another worker was faster
            shutil.rmtree(whole)
            if not kept.is_dir():
                raise

    def _let_go(self, newest: str) -> None:
        os.utime(self._folder / newest)
        there = [folder for folder in self._folder.iterdir() if not folder.name.startswith(".")]
        for folder in sorted(there, key=lambda folder: folder.stat().st_mtime, reverse=True)[_KEPT:]:
            shutil.rmtree(folder, ignore_errors=True)
