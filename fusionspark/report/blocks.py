"""What a page is made of: plain data, which the template only lays out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from markupsafe import Markup


@dataclass(frozen=True)
class Cell:
    """One cell: what is shown, and what it is sorted by where that differs."""

    text: str
    sort: float | str | None = None
    #: Between 0 and 1: draws a bar behind the number.
    bar: float | None = None
    strong: bool = False
    #: Small print below, an interval for example.
    note: str = ""


@dataclass(frozen=True)
class Column:
    """One column; ``kind`` is ``text``, ``number`` or ``code``."""

    label: str
    kind: str = "text"


@dataclass(frozen=True)
class Table:
    """A table that the reader can sort, and filter where it is long."""

    kind: ClassVar[str] = "table"
    title: str
    columns: list[Column]
    rows: list[list[Cell]]
    note: str = ""
    wide: bool = False

    @property
    def narrow(self) -> bool:
        """Whether half of the page is wide enough."""
        return len(self.columns) <= 5 and not self.wide

    @property
    def filterable(self) -> bool:
        """Whether a filter box is worth its place."""
        return len(self.rows) > 8


@dataclass(frozen=True)
class Tile:
    """One figure that matters, in large type. ``tone`` is ``plain``, ``good`` or ``warn``."""

    label: str
    value: str
    note: str = ""
    tone: str = "plain"


@dataclass(frozen=True)
class Tiles:
    """A row of tiles."""

    kind: ClassVar[str] = "tiles"
    tiles: list[Tile]


@dataclass(frozen=True)
class Sentences:
    """Plain sentences, escaped already."""

    kind: ClassVar[str] = "sentences"
    lines: list[Markup]
    tone: str = "plain"


@dataclass(frozen=True)
class Figure:
    """One plotly figure. Colours named ``@name`` are looked up in the theme when it is drawn.

    ``height`` is in CSS pixels; ``wide`` figures take the whole width.
    """

    kind: ClassVar[str] = "figure"
    name: str
    title: str
    spec: dict[str, Any]
    height: int = 300
    wide: bool = False
    note: str = ""


@dataclass(frozen=True)
class Figures:
    """Figures side by side, as many as the width allows."""

    kind: ClassVar[str] = "figures"
    figures: list[Figure]


@dataclass(frozen=True)
class ClusterCard:
    """One cluster in words."""

    title: str
    colour: int
    size: str
    width: float
    terms: list[str]
    labels: list[tuple[str, str]]
    #: What the structured columns say, a sentence each.
    columns: list[Markup]
    nearest: list[tuple[str, str]]
    typical: list[tuple[str, str]]


@dataclass(frozen=True)
class ClusterCards:
    """All clusters in words."""

    kind: ClassVar[str] = "clusters"
    cards: list[ClusterCard]


@dataclass(frozen=True)
class Tinted:
    """A piece of text; ``strength`` from -1 (against) to 1 (for) is its colour."""

    text: str
    strength: float
    hint: str


@dataclass(frozen=True)
class RowCard:
    """One row and why the model answers as it does.

    ``parts`` are (name, value, signed share of the longest bar) of blocks and columns.
    """

    title: str
    rule: str
    answer: str
    truth: str
    wrong: bool
    parts: list[tuple[str, str, float]]
    parts_note: str
    pieces: list[Tinted]
    pieces_note: str


@dataclass(frozen=True)
class RowCards:
    """Rows that are explained."""

    kind: ClassVar[str] = "rows"
    cards: list[RowCard]


@dataclass(frozen=True)
class PictureCard:
    """One picture; ``address`` holds it whole. ``prediction`` is empty where it is right or unknown."""

    address: str
    caption: str
    label: str
    prediction: str
    right: bool | None


@dataclass(frozen=True)
class PictureCards:
    """Pictures side by side."""

    kind: ClassVar[str] = "pictures"
    cards: list[PictureCard]


Block = RowCards | Table | Tiles | Sentences | Figures | ClusterCards | PictureCards


@dataclass(frozen=True)
class Section:
    """A part of the page with its own place in the navigation."""

    name: str
    title: str
    blocks: list[Block] = field(default_factory=list)
