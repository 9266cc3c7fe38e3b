"""A GPT-2 of two thin layers that has learnt one answer, whatever stood before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

#: Tokens that it reads.
LENGTH = 400


def make_writer(folder: Path, answer: Sequence[str], words: Sequence[str] = ()) -> Path:
    """Write a folder whose model says ``answer`` after "Answer:"; ``words`` are others that it knows."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(1)
    vocabulary = {word: i for i, word in enumerate(["[UNK]", "[END]", "Answer:", *answer, *words])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="[UNK]", eos_token="[END]"
    ).save_pretrained(folder)
    config = transformers.GPT2Config(
        vocab_size=len(vocabulary), n_positions=LENGTH, n_embd=32, n_layer=2, n_head=2,
        bos_token_id=1, eos_token_id=1, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config)
    # Ten times smaller in the end: where it has got to must not depend on how many threads added up.
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=300)
    end = torch.tensor([[2, *range(3, 3 + len(answer)), 1]]).expand(8, -1)
    longest = LENGTH - end.shape[1]
    for step in range(300):
        before = torch.randint(0, len(vocabulary), (8, 1 + step * 37 % longest))
        # Most words of a question are none that it knows.
        before[::2] = 0
        rows = torch.cat([before, end], dim=1)
        told = torch.cat([torch.full_like(before, -100), end], dim=1)
        loss = model(rows, labels=told).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        slower.step()
    model.eval().save_pretrained(folder, safe_serialization=True)
    return folder
