"""A model that is compared with another: its layers, and who runs them."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from lstm_convert import reference
from lstm_convert.canonical import Model, Recurrent
from lstm_convert.containers import Contents
from lstm_convert.conversion import load
from lstm_convert.errors import LstmConvertError, Unsupported
from lstm_convert.formats import FORMATS, Format, candidates
from lstm_convert.frameworks import ReadOptions
from lstm_convert.frameworks.running import Engine, NetworkEngine, Ran, Runner
from lstm_convert.sequences import Trial

PathLike = str | os.PathLike[str]

REFERENCE = "reference"

# Where a framework's runner is not its own module `running`.
_RUNNERS = {"pytorch.source": "pytorch.source_running"}


class Side:
    """One of the models that are compared.

    Args:
        name: what the notes call it.
        source: a file or a model.
        told: what the user adds to a file that does not say it all, by the names `load` has for it.
        stack: keeps the file open as long as it is run.
    """

    def __init__(self, name: str, source: PathLike | Model, told: Mapping[str, Any], stack: ExitStack) -> None:
        self.name = name
        self.notes: list[str] = []
        self._runner: Runner | None = None
        self._opened: tuple[Path | None, Contents | None] = (None, None)
        self._running: Any = None
        if isinstance(source, Model):
            self.model = source
            self._find_runner(source.provenance.framework, None, None)
            return
        path = Path(source)
        self.model = _loaded(path, told)
        entry, contents = _opened(path, stack)
        if not any(told.values()) and self.model.provenance.framework == entry.framework:
            # What lstm_convert keeps in a file for the way back no framework reads.
            plain = entry.adapter.read(contents, ReadOptions(keepsakes=False))
            self.model = replace(plain, provenance=self.model.provenance)
        self._find_runner(entry.framework, path, contents)

    @property
    def layers(self) -> tuple[Recurrent, ...]:
        """The layers."""
        return self.model.layers

    def engine(self, number: int, *, return_sequences: bool) -> Engine | None:
        """Return a layer in its own framework, or None, with a note that says why."""
        if self._runner is None:
            return None
        try:
            return self._runner(number, return_sequences)
        except LstmConvertError as error:
            self.note(f"{self.layers[number].name} was not run by a framework: {error.what}")
            return None

    def network_engine(self) -> NetworkEngine | None:
        """Return the whole network in its own framework, or None, with a note that says why."""
        if not hasattr(self._running, "network_engine"):
            return None
        try:
            engine: NetworkEngine = self._running.network_engine(self.model, *self._opened)
        except LstmConvertError as error:
            self.note(f"the whole network was not run by a framework: {error.what}")
            return None
        self.note(f"run as a whole by {engine.name}")
        return engine

    def runs(self, layer: Recurrent, engine: Engine | None, trial: Trial) -> dict[str, Ran]:
        """Return what a layer computes, by who did: the reference first, then its framework where it ran.

        Args:
            layer: one of this side's, as it is to be run.
            engine: the same in its framework, or None.
            trial: what goes in.
        """
        mask = trial.mask if layer.masked_by else None
        found: dict[str, Ran] = {}
        try:
            ran = reference.run(layer, trial.x, trial.h0, trial.c0, mask)
            found[REFERENCE] = Ran(ran.outputs, ran.h, ran.c, layer.forward.W.dtype.name)
        except Unsupported as error:
            self.note(f"{layer.name} was not run by the reference: {error.what}")
        if engine:
            try:
                found[engine.name + ", rebuilt" * bool(engine.rebuilt)] = engine.run(trial.x, trial.h0, trial.c0, mask)
                anew = f", its layers rebuilt from the weights: {engine.rebuilt}" if engine.rebuilt else ""
                self.note(f"run by {engine.name}{anew}")
            except LstmConvertError as error:
                self.note(f"{layer.name} was not run by a framework: {error.what}")
        return found

    def note(self, sentence: str) -> None:
        """Keep a sentence about this side, once."""
        if (whole := f"{self.name}: {sentence}") not in self.notes:
            self.notes.append(whole)

    def _find_runner(self, framework: str, path: Path | None, contents: Contents | None) -> None:
        try:
            if framework not in {entry.framework for entry in FORMATS}:
                raise ModuleNotFoundError  # noqa: TRY301 (as a framework that has no runner)
            name = _RUNNERS.get(framework, f"{framework}.running")
            self._running = import_module(f"lstm_convert.frameworks.{name}")
        except ModuleNotFoundError:
            self.note("run by the float64 reference alone; no framework computes this form")
            return
        self._opened = (path, contents)
        try:
            self._runner = self._running.runner(self.model, path, contents)
        except LstmConvertError as error:
            self.note(f"run by the float64 reference alone; {error.what}")


def _loaded(path: Path, told: Mapping[str, Any]) -> Model:
    """Return a file's model; what the user adds is used only where the file does not say it all."""
    try:
        model = load(path)
    except Unsupported:
        if not any(told.values()):
            raise
        return load(path, **told)
    # What a converted file took for granted was missing in its source; the file itself says it all.
    own = model.provenance.framework in {entry.framework for entry in candidates(path)}
    return load(path, **told) if own and model.assumed and any(told.values()) else model


def _opened(path: Path, stack: ExitStack) -> tuple[Format, Contents]:
    """Return which kind of file it is, and its contents, open until the stack is closed."""
    kinds = candidates(path)
    contents = stack.enter_context(kinds[0].opener.opened(path))
    for entry in kinds:
        if entry.adapter.recognises(contents):
            return entry, contents
    raise Unsupported(f"{path}: holds nothing that is known")
