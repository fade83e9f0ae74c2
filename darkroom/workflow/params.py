"""The params of rules: what Snakemake records of a job, and runs it again for when it changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from darkroom.workflow import content, known
from darkroom.workflow.calls import Wildcards, called, in_words


@called
class Params:
    """Functions of a job's wildcards.

    Parameters
    ----------
    settings : of the run.
    folder : of its data/ and results/.
    """

    def __init__(self, settings: Settings, folder: Path = Path()) -> None:
        self.settings, self.folder = settings, folder

    def cfg(self, stage: str) -> Callable[[Wildcards], dict[str, Any]]:
        """Exactly the settings that a stage reads, by the wildcards of its rule."""

        def settings(wildcards: Wildcards) -> dict[str, Any]:
            return stage_settings(self.settings, stage, dict(wildcards.items()))

        return called(in_words(settings))

    @in_words
    def content(self, wildcards: Wildcards) -> str | None:
        """A digest of a source on this disk, the same as long as its content is."""
        found = content.content(self.settings, wildcards.dataset, self.folder)
        return found and found.now

    def address(self, wildcards: Wildcards, input: Any) -> str:
        """The source as it is written, with its query. Not recorded, as it takes `input`."""
        return self.settings.datasets[wildcards.dataset].source

    def weights(self, wildcards: Wildcards, input: Any) -> str:
        """The weights of a backbone as they are written. Not recorded, as it takes `input`."""
        return self.settings.features[wildcards.features].weights

    def within_limit(self, wildcards: Wildcards) -> bool:
        """Whether the last index has no more unusable files than are allowed."""
        return known.within_limit(self.settings, wildcards.dataset, self.folder)

    def limit(self, wildcards: Wildcards, input: Any) -> float:
        """The part of files that may be unusable. Not recorded, as it takes `input`."""
        return self.settings.datasets[wildcards.dataset].max_unusable

    @in_words
    def pictures(self, wildcards: Wildcards) -> str:
        """A digest of new pictures: those of other content are predicted again."""
        return content.of_pictures(self.settings.predict[wildcards.name].source)
