"""What precision a model was found fit for: measured once, and kept in the store for runs that ask again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from fusionspark.files import Files


@dataclass(frozen=True)
class Verdicts:
    """The verdicts of a store, one JSON file for each question.

    Parameters
    ----------
    store : str
        Folder of the store.
    """

    files: Files
    store: str

    @property
    def folder(self) -> str:
        """Folder of the verdicts."""
        return f"{self.store}/verdicts"

    def of(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        """The decision on ``asked``, or None."""
        path = self._path(asked)
        return dict(self._read(path)["decision"]) if self.files.exists(path) else None

    def keep(self, asked: dict[str, Any], decision: dict[str, Any], digest: str) -> None:
        """Keep the decision on ``asked``, whose vectors are those of the model ``digest``."""
        told = {"asked": asked, "decision": decision, "digest": digest}
        self.files.write_text(self._path(asked), json.dumps(told, allow_nan=False))

    def about(self, model: str) -> list[str]:
        """Files of the verdicts that chose, or were asked of, a model whose digest begins with ``model``."""
        paths = [f"{self.folder}/{name}" for name in self.files.names(self.folder) if name.endswith(".json")]
        return [path for path in paths if any(one.startswith(model) for one in self._models(path))]

    def _models(self, path: str) -> list[str]:
        told = self._read(path)
        # Verdicts of earlier versions only name the model that was asked about.
        return [told["asked"]["model"], told.get("digest", "")]

    def _read(self, path: str) -> dict[str, Any]:
        return dict(json.loads(self.files.read_text(path)))

    def _path(self, asked: dict[str, Any]) -> str:
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        return f"{self.folder}/{digest[:16]}.json"
