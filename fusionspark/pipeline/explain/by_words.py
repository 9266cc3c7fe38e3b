"""Words: Shapley values and LIME of the pieces of a text, and whether the model follows them."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from fusionspark.pipeline.explain.asking import Reworded, ask_texts
from fusionspark.pipeline.explain.subject import Asked, Subject
from fusionspark.prepare.language import detect_language
from fusionspark.prepare.words import SEGMENTERS, english_words
from fusionspark.report.explain.coalitions import Coalitions, coalitions, lime, shapley
from fusionspark.report.explain.faithfulness import deletions, faithfulness
from fusionspark.report.explain.pieces import kept, pieces

#: Random deletions of each row.
RANDOM = 5
#: Fewest perturbed texts from which words are told apart.
LEAST_SAMPLES = 16


def explain_words(asked: Asked, about: Subject, rows: DataFrame, seconds: float) -> dict[str, Any] | None:
    """Add ``words`` to the chosen rows that have text, and return the faithfulness of what was said.

    A text is parted into a third as many pieces as it has samples: leaving out each piece, and all but each,
    takes two thirds of them, and what is drawn beside them states the error. The structured columns stay
    as they are.

    Parameters
    ----------
    seconds : float
        What is left; fewer samples are asked for where half of it does not suffice, and None is returned
        where too few are left to tell words apart.
    """
    chosen = [one for one in about.chosen if about.texts[one["row_id"]]]
    samples = _affordable(asked, len(chosen), seconds)
    if not chosen or samples < LEAST_SAMPLES:
        return None
    language = asked.predictor.config.prepare.language
    parted: list[tuple[list[str], Coalitions]] = []
    for one in chosen:
        text = about.texts[one["row_id"]] or ""
        own_language = detect_language(text) if language == "auto" else language
        parts = pieces(text, SEGMENTERS.get(own_language, english_words), samples // 3)
        parted.append((parts, coalitions(len(parts), samples, asked.named_seed(one["row_id"]))))
    questions = [
        Reworded(one["row_id"], kept(parts, mask))
        for one, (parts, sets) in zip(chosen, parted, strict=True)
        for mask in sets.masks
    ]
    answers = ask_texts(asked.predictor, rows, questions).scores
    labels = list(asked.predictor.labels)
    own = [labels.index(one["prediction"]) for one in chosen]
    ends = np.cumsum([len(sets.masks) for _, sets in parted])[:-1]
    again: list[Reworded] = []
    for one, k, (parts, sets), said in zip(chosen, own, parted, np.split(answers, ends), strict=True):
        one["words"] = _told(parts, sets, said[:, k])
        values = np.array([piece["shap"] for piece in one["words"]["pieces"]])
        masks = deletions(values, RANDOM, asked.named_seed(f"deleted {one['row_id']}"))
        again += [Reworded(one["row_id"], kept(parts, mask)) for mask in masks]
    scores = ask_texts(asked.predictor, rows, again).scores.reshape(len(chosen), 1 + RANDOM, -1)
    return faithfulness(
        [one["words"]["score"] for one in chosen],
        [float(scores[n, 0, k]) for n, k in enumerate(own)],
        [float(scores[n, 1:, k].mean()) for n, k in enumerate(own)],
    )


def _told(parts: list[str], sets: Coalitions, answers: Any) -> dict[str, Any]:
    values, errors = shapley(sets, answers)
    near = lime(sets, answers)
    return {
        "exact": sets.exact,
        "base": float(answers[0]),
        "score": float(answers[1]),
        "texts": len(sets.masks),
        "pieces": [
            {
                "text": part,
                "shap": float(value),
                "error": None if np.isnan(error) else float(error),
                "lime": float(coefficient),
            }
            for part, value, error, coefficient in zip(parts, values, errors, near, strict=True)
        ],
    }


def _affordable(asked: Asked, rows: int, seconds: float) -> int:
    """Perturbed texts a row: as many as were asked for, fewer where half of the time left is too short."""
    if not asked.rate or not rows:
        return asked.effort.samples
    return min(asked.effort.samples, int(seconds / 2 * asked.rate / rows) - RANDOM)
