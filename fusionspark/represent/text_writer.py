"""A language model that writes: the few sentences of a run that no count gives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fusionspark.errors import ConfigError, MissingExtraError
from fusionspark.represent.device import task_device
from fusionspark.represent.model_source import resolve_model

#: Tokens of an answer at most.
MOST_TOKENS = 32


class TextWriter:
    """A causal language model with greedy decoding, so that the same question has the same answer.

    Parameters
    ----------
    spec : str
        What `fusionspark.represent.model_source.resolve_model` takes: a folder with safetensors (never the
        network), or a hub name. Custom code of a model is not run.

    Raises
    ------
    ConfigError
        No such model, or one that does not write.
    MissingExtraError
        Without the extra ``torch``.
    """

    def __init__(self, spec: str) -> None:
        source = resolve_model(spec)
        config = source.path / "config.json"
        known = json.loads(config.read_text("utf-8")) if config.is_file() else {}
        heads = known.get("architectures") or []
        if not any(head.endswith(("ForCausalLM", "LMHeadModel")) for head in heads):
            raise ConfigError(
                f"model {spec!r}",
                f"does not write text: its architecture is {', '.join(heads) or 'not stated'}",
                allowed="a causal language model (...ForCausalLM in its config.json)",
                remedy="name an instruction-tuned model, or leave the setting null",
            )
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise MissingExtraError("transformers", "torch", f"model {spec!r}") from error
        self.spec, self.digest = spec, source.digest()
        self._device = task_device().name
        path, local = str(source.path), {"local_files_only": True, "trust_remote_code": False}
        self._tokenizer: Any = AutoTokenizer.from_pretrained(path, **local)
        dtype = torch.float32 if self._device == "cpu" else torch.bfloat16
        model: Any = AutoModelForCausalLM.from_pretrained(path, use_safetensors=True, dtype=dtype, **local)
        self._model = model.eval().to(self._device)

    def __call__(self, messages: Sequence[dict[str, str]]) -> str:
        """Return the answer to a dialogue (``[{role, content}]``), without special tokens.

        Raises
        ------
        ConfigError
            The dialogue is longer than the model reads.
        """
        import torch

        tokens = self._tokens(messages)
        longest = getattr(self._model.config, "max_position_embeddings", None)
        length = int(tokens["input_ids"].shape[1])
        if longest and length + MOST_TOKENS > longest:
            raise ConfigError(
                f"model {self.spec!r}",
                f"reads {longest} tokens, and the question has {length}",
                allowed=f"models that read {length + MOST_TOKENS} tokens or more",
            )
        end = self._tokenizer.eos_token_id
        pad = self._tokenizer.pad_token_id
        with torch.inference_mode():
            written = self._model.generate(
                **tokens, max_new_tokens=MOST_TOKENS, do_sample=False, num_beams=1,
                pad_token_id=end if pad is None else pad,
            )  # fmt: skip
        return str(self._tokenizer.decode(written[0, length:], skip_special_tokens=True))

    def _tokens(self, messages: Sequence[dict[str, str]]) -> Any:
        if self._tokenizer.chat_template:
            text = self._in_turns(list(messages))
        else:
            # A model that was never told of roles goes on where the text ends.
            text = "\n\n".join([*(one["content"] for one in messages), "Answer:"])
        # A template writes its own.
        special = not self._tokenizer.chat_template
        found = self._tokenizer(text, return_tensors="pt", add_special_tokens=special)
        kept = {key: found[key] for key in ("input_ids", "attention_mask")}
        return {key: value.to(self._device) for key, value in kept.items()}

    def _in_turns(self, messages: list[dict[str, str]]) -> str:
        from jinja2 import TemplateError

        def written(turns: list[dict[str, str]]) -> str:
            return str(self._tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False))

        try:
            return written(messages)
        except TemplateError:
            # Some know no role of a system: what it says comes first in the user's turn.
            return written([{"role": "user", "content": "\n\n".join(one["content"] for one in messages)}])
