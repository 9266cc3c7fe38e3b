"""The way from what a row holds to the scores of its classes, through the models of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.config import Config
from fusionspark.fuse.feature_fuser import FeatureFuserModel
from fusionspark.fuse.reducer import BlockReducerModel
from fusionspark.mine.classify import Classifier
from fusionspark.mine.linear_form import linear_form
from fusionspark.pipeline import learnt_fusion
from fusionspark.pipeline.vector_space import engine_of
from fusionspark.prepare import stages as preparing
from fusionspark.prepare.python_steps import together
from fusionspark.prepare.table_encoder import TableEncoderModel
from fusionspark.prepare.target_encoding import TargetEncoderModel
from fusionspark.represent.text_embedder import TextEmbedder
from fusionspark.tables import RunFolder

#: Players at most; structured columns beyond them are one player together.
MOST_PLAYERS = 40
#: That one player's name: no column may have it.
REST = "…"


@dataclass(frozen=True)
class Predictor:
    """The models of a run, asked about rows that never were.

    Parameters
    ----------
    config : Config
    models : RunFolder
        The run that trained them.
    algorithm : str
        The classifier that is asked.
    precision : str
        That the language model works in.
    fused_by : dict
        What the stage fuse says of ``method`` and ``reduction``.
    """

    config: Config
    models: RunFolder
    algorithm: str
    precision: str
    fused_by: Mapping[str, Any]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in the order of scores."""
        return tuple(self.learnt.getLabels()) if self._by_itself else self.classifier.labels

    @property
    def _by_itself(self) -> bool:
        """Whether the fusion method answers, and no classifier behind it."""
        return self.learnt is not None and self.algorithm == self.fused_by.get("method")

    @cached_property
    def learnt(self) -> Any:
        """The fusion method that learnt from the label, or None."""
        return learnt_fusion.load(self.models, str(self.fused_by.get("method", learnt_fusion.CONCAT)))

    @cached_property
    def reducer(self) -> BlockReducerModel | None:
        """What brings the embedding down, or None."""
        if self.fused_by.get("reduction", "none") == "none":
            return None
        reducer: BlockReducerModel = BlockReducerModel.load(self.models.model_path("fuse_reduction"))
        return reducer

    @cached_property
    def kept(self) -> list[str]:
        """Columns beside those of the players that a row needs as they are: what folds are made by."""
        return [learnt_fusion.FOLD_KEY] if learnt_fusion.fold_source(self.config) else []

    @cached_property
    def prepared(self) -> PipelineModel:
        """What prepare learnt."""
        return PipelineModel.load(self.models.model_path("prepare"))

    @cached_property
    def fuser(self) -> FeatureFuserModel:
        """The fusion."""
        return FeatureFuserModel.load(self.models.model_path("fuse"))

    @cached_property
    def classifier(self) -> Classifier:
        """The classifier."""
        return Classifier.load(self.models.model_path(f"classify/{self.algorithm}"))

    @cached_property
    def players(self) -> dict[str, list[str]]:
        """What can be known or not of a row -> columns of the table `prepared` (and the vector) that hold it.

        A block is one player whatever its width; each structured column is one.
        """
        found: dict[str, list[str]] = {}
        columns, statistics = self.config.columns, list(self._statistics)
        apart = self.config.prepare.text_statistics == "block"
        table = [
            *preparing.number_columns(columns, self.config.prepare),
            *columns.categorical,
            *([] if apart else statistics),
        ]
        blocks = [block.name for block in self.fuser.blocks]
        for name in blocks:
            if name.startswith(c.TFIDF_OF_COLUMN):
                continue
            if name == c.TFIDF_BLOCK:
                found[name] = [c.TOKENS, *([c.COLUMN_WORDS] if len(columns.text) > 1 else [])]
            elif name == c.STATISTICS_BLOCK:
                found[name] = statistics
            elif name != c.TABLE_BLOCK:
                found[name] = [name]
        if c.TABLE_BLOCK in blocks:
            room = MOST_PLAYERS - len(found)
            alone = len(table) if len(table) <= room else room - 1
            found |= {name: [name] for name in table[:alone]}
            if table[alone:]:
                found[REST] = table[alone:]
        return found

    @cached_property
    def _statistics(self) -> dict[str, list[str]]:
        """Columns with statistics of the text -> names of their features."""
        return preparing.statistics_columns(self.config.columns, self.config.prepare)

    @cached_property
    def margins(self) -> dict[str, tuple[npt.NDArray[np.float64], float]] | None:
        """Weights and intercept of each label's margin; None where it is not linear in the fused vector."""
        found = None if self.learnt is not None else linear_form(self.classifier)
        if found and all(len(weights) == self.fuser.numFeatures for weights, _ in found.values()):
            return found
        return None

    @cached_property
    def slices(self) -> dict[str, list[slice]]:
        """Features of the fused vector that each player owns; a block's indicator is the block's own.

        The indicator of the structured columns, which are never missing together, goes with the first.
        """
        found: dict[str, list[slice]] = {name: [] for name in self.players}
        encoders = (s for s in self.prepared.stages if isinstance(s, TableEncoderModel))
        table = next((s for s in encoders if s.getOutputCol() == c.TABLE_BLOCK), None)
        for part in self.fuser.layout:
            if part.block != c.TABLE_BLOCK or table is None:
                # All blocks of the words are one player: they are of the same text.
                of_words = part.block.startswith(c.TFIDF_OF_COLUMN)
                found[c.TFIDF_BLOCK if of_words else part.block].append(slice(part.start, part.end))
                continue
            inside = table.columnSlices
            features = {
                player: [f for name in names for f in self._statistics.get(name, [name])]
                for player, names in self.players.items()
            }
            for player, names in features.items():
                for name in names:
                    if name in inside:
                        own = inside[name]
                        found[player].append(slice(part.start + own.start, part.start + own.stop))
            stop = part.start + max(own.stop for own in inside.values())
            for stage in self.prepared.stages:
                if isinstance(stage, TargetEncoderModel):
                    wide = len(stage.featureNames)
                    player = next(p for p, names in self.players.items() if stage.getInputCol() in names)
                    found[player].append(slice(stop, stop + wide))
                    stop += wide
            first = next(player for player, names in features.items() if names[0] in inside)
            found[first].append(slice(stop, part.end))
        return found

    def scores(self, rows: DataFrame) -> DataFrame:
        """`columns.PREDICTIONS_DDL` of rows that hold the columns of the players; lazy."""
        fused = self.fused(rows)
        if self._by_itself:
            return learnt_fusion.answers(fused, self.algorithm, self.labels)
        return self.classifier.predict(fused)

    def fused(self, rows: DataFrame) -> DataFrame:
        """Return the rows as classifiers read them; lazy."""
        blocks = preparing.drop_scratch(self.prepared.transform(rows))
        if self.reducer is not None:
            reduced = self.reducer.transform(blocks)
            blocks = reduced.drop(c.EMBEDDING).withColumnRenamed(self.reducer.getOutputCol(), c.EMBEDDING)
        if self.learnt is None:
            return self.fuser.transform(blocks)
        joined = self.fuser.transform(blocks, {self.fuser.outputCol: c.JOINED})
        answered: DataFrame = self.learnt.transform(joined)
        return answered

    def cleaned(self, rows: DataFrame) -> DataFrame:
        """Rows with what prepare makes of their column ``text``, which goes; lazy."""
        columns = self.config.columns.texts_a_row
        steps = preparing.text_steps(self.config.prepare, text_columns=columns)
        return together(rows, steps).drop(c.TEXT)

    def embedded(self, rows: DataFrame) -> DataFrame:
        """Rows with the vectors of their column ``clean_text``, where the model takes any; lazy."""
        if c.EMBEDDING not in self.players:
            return rows
        engine, settings = engine_of(self.config), self.config.represent
        embedder = TextEmbedder(
            inputCol=c.CLEAN_TEXT,
            outputCol=c.EMBEDDING,
            model=engine.model,
            modelDigest=engine.model_digest,
            precision=self.precision,
            device=engine.device,
            gpuAmount=float(settings.gpu_amount),
            cacheDir=engine.cache_dir,
            maxTokens=engine.max_tokens,
            tokenBudget=engine.token_budget,
            windowSize=settings.window,
            longText=engine.long_text,
        )
        return embedder.transform(rows).drop(c.N_TOKENS, c.TRUNCATED, c.STATUS)

    def held(self, run: RunFolder, row_ids: list[str]) -> DataFrame:
        """These rows of a run: ``row_id``, ``split``, ``label``, text, and what the players need."""
        prepared = run.read(c.PREPARED).where(F.col(c.ROW_ID).isin(row_ids))
        own = {name for names in self.players.values() for name in names}
        here = [name for name in prepared.columns if name in own]
        fold = learnt_fusion.fold_source(self.config)
        folds = [F.col(f"`{fold}`").alias(learnt_fusion.FOLD_KEY)] if fold else []
        columns = [*folds, *[F.col(f"`{n}`") for n in here]]
        rows = prepared.select(c.ROW_ID, c.SPLIT, c.LABEL, c.CLEAN_TEXT, *columns)
        if c.EMBEDDING in own:
            vectors = run.read(c.EMBEDDINGS).where(F.col(c.ROW_ID).isin(row_ids))
            rows = rows.join(vectors.select(c.ROW_ID, c.EMBEDDING), c.ROW_ID)
        if c.IMAGE_EMBEDDING in own:
            vectors = run.read(c.IMAGE_EMBEDDINGS).where(F.col(c.ROW_ID).isin(row_ids))
            named = F.col(c.EMBEDDING).alias(c.IMAGE_EMBEDDING)
            rows = rows.join(vectors.select(c.ROW_ID, named), c.ROW_ID)
        return rows
