"""What a model folder says about itself: pooling, normalisation, prompts, token limit.

Read from the files that sentence-transformers and transformers write; see
https://sbert.net/docs/sentence_transformer/usage/custom_models.html for their meaning.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusionspark.errors import ConfigError

#: Names of `Pooling` in sentence-transformers; the first six are its old boolean keys.
_OLD_POOLING_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
POOLINGS = tuple(_OLD_POOLING_KEYS.values())

#: Modules of a folder that are known here.
_ORDER = re.compile(r"Transformer Pooling( Dense)*( Normalize)?")

#: Where sentence-transformers has kept the token limit over the years; the first file that is there counts.
_LIMITS = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)

#: Longest input of a model whose files name no limit.
_NO_LIMIT = 8192


@dataclass(frozen=True)
class FolderSettings:
    """Everything but the weights.

    Attributes
    ----------
    transformer : Path
        Folder with config.json, tokenizer and weights of the network.
    pooling : tuple of str
        One or more of `POOLINGS`; several are concatenated.
    dense : tuple of Path
        Folders of `Dense` modules, applied in order after pooling.
    normalize : bool
        Whether vectors are scaled to unit length.
    max_tokens : int
        Longest input in tokens, special tokens included.
    lower_case : bool
        Whether the text is lower-cased before tokenising.
    prompts : dict of str to str
        Named prefixes of the text.
    default_prompt : str
        Prefix used when the caller names none.
    include_prompt : bool
        Whether tokens of the prompt take part in pooling.
    config : dict
        config.json of the network.
    """

    transformer: Path
    pooling: tuple[str, ...]
    dense: tuple[Path, ...]
    normalize: bool
    max_tokens: int
    lower_case: bool
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt: str = ""
    include_prompt: bool = True
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def causal(self) -> bool:
        """Whether a token of the network sees the tokens before it only."""
        both_ways = self.config.get("use_bidirectional_attention") or self.config.get("is_causal") is False
        return _decoder(self.config) and not both_ways


def read_settings(folder: Path) -> FolderSettings:
    """Read a sentence-transformers folder, or a plain transformers one (mean, or last token for decoders).

    Raises
    ------
    ConfigError
        A module or a pooling that this package does not know.
    """
    modules = _json(folder / "modules.json", default=None)
    if modules is None:
        config = _json(folder / "config.json")
        return FolderSettings(
            folder, ("lasttoken",) if _decoder(config) else ("mean",), (), False,
            _limit(folder, config, None), False, config=config,
        )  # fmt: skip
    kinds = [(str(module["type"]).rsplit(".", 1)[-1], folder / module["path"]) for module in modules]
    if not _ORDER.fullmatch(" ".join(kind for kind, _ in kinds)):
        raise ConfigError(
            f"model folder {folder}",
            f"modules.json lists {[kind for kind, _ in kinds]}",
            allowed="Transformer, Pooling, any number of Dense, then Normalize or not",
            remedy="use a model made of these modules in this order",
        )
    transformer = kinds[0][1]
    config = _json(transformer / "config.json")
    pooling, include_prompt = _pooling(kinds, folder)
    limits = [found for name in _LIMITS if (found := _json(transformer / name, default=None))]
    bert: dict[str, Any] = limits[0] if limits else {}
    prompts, default_prompt = read_prompts(folder)
    return FolderSettings(
        transformer=transformer,
        pooling=pooling,
        dense=tuple(path for kind, path in kinds if kind == "Dense"),
        normalize=any(kind == "Normalize" for kind, _ in kinds),
        max_tokens=_limit(transformer, config, bert.get("max_seq_length")),
        lower_case=bool(bert.get("do_lower_case", False)),
        prompts=prompts,
        default_prompt=default_prompt,
        include_prompt=include_prompt,
        config=config,
    )


def read_prompts(folder: Path) -> tuple[dict[str, str], str]:
    """Named prompts of a sentence-transformers folder, and the one that is used where none is named."""
    own = _json(folder / "config_sentence_transformers.json", default={})
    prompts = {str(key): str(value) for key, value in (own.get("prompts") or {}).items()}
    return prompts, prompts.get(own.get("default_prompt_name") or "", "")


def _decoder(config: dict[str, Any]) -> bool:
    return any(name.endswith("ForCausalLM") for name in config.get("architectures") or ())


def max_positions(settings: FolderSettings) -> int:
    """Longest input that the network has positions for; 0 where its files do not say."""
    return _positions(settings.config)


def _positions(config: dict[str, Any]) -> int:
    most = config.get("max_position_embeddings")
    if not isinstance(most, int | float) or not 0 < most < 1e9:
        return 0
    if config.get("model_type") in {"roberta", "xlm-roberta", "camembert", "mpnet"}:
        # Their first position is padding_idx + 1.
        most -= int(config.get("pad_token_id") or 0) + 1
    return int(most)


def _pooling(kinds: list[tuple[str, Path]], folder: Path) -> tuple[tuple[str, ...], bool]:
    config = _json(next(path for kind, path in kinds if kind == "Pooling") / "config.json")
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [name for key, name in _OLD_POOLING_KEYS.items() if config.get(key)] or ["mean"]
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    if bad := [mode for mode in modes if mode not in POOLINGS]:
        raise ConfigError(f"model folder {folder}", f"unknown pooling {bad}", allowed=", ".join(POOLINGS))
    return modes, bool(config.get("include_prompt", True))


def _limit(transformer: Path, config: dict[str, Any], wanted: int | None) -> int:
    if wanted:
        return int(wanted)
    tokenizer = _json(transformer / "tokenizer_config.json", default={})
    limits = [_positions(config), tokenizer.get("model_max_length")]
    # Tokenizers without a limit store a number like 1e30.
    known = [int(limit) for limit in limits if isinstance(limit, int | float) and 0 < limit < 1e9]
    return min([*known, _NO_LIMIT])


def _json(path: Path, default: Any = ...) -> Any:
    if not path.is_file():
        if default is ...:
            raise ConfigError(
                f"model folder {path.parent}", f"holds no {path.name}", remedy="restore the file"
            )
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"file {path}", f"is not JSON ({error})", remedy="restore the file") from error
