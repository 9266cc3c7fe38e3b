"""BERT in eight-bit integers as an ONNX graph, written node by node.

Why not `torch.onnx.export` and `quantize_dynamic`: a traced export may bake the mask of its example in,
and dynamic quantisation takes one scale for a whole batch, so that a text's vector depends on its
neighbours. Here each *token* has a scale of its own (per-row activations, per-column weights, as in
LLM.int8(), Dettmers et al. 2022, arXiv 2208.07339): a vector depends on its text alone, and is closer
to float32. Weights use seven bits, since on processors without VNNI the sum of two products of eight
bits overflows sixteen.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionspark.errors import MissingExtraError
from fusionspark.represent import packed_bert

#: Changes whenever the graph does, so that an older file in a cache is not taken for a new one.
VERSION = 2

_TOP = 63
_MS = "com.microsoft"
#: Lowest value of GELU, rounded away from zero, and the zero point that leaves room for it.
_GELU_LOW, _GELU_ZERO = 0.1701, 20


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: Any) -> str:
        from onnx import numpy_helper

        self.constants.append(
            numpy_helper.from_array(np.ascontiguousarray(value).reshape(np.shape(value)), name)
        )
        return name

    def node(self, kind: str, inputs: list[str], *outputs: str, domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(
            helper.make_node(kind, inputs, list(outputs), name=outputs[0], domain=domain, **attributes)
        )
        return outputs[0]

    def linear(self, x: str, name: str, weight: NDArray[np.float32], after_gelu: bool = False) -> str:
        """``x @ weight`` without bias; ``weight`` has shape (in, out)."""
        scale = np.maximum(np.abs(weight).max(axis=0), 1e-12) / _TOP
        whole = np.rint(weight / scale).astype(np.int8)
        if after_gelu:
            # One-sided: only the largest value of a token is asked for.
            top = self.node("ReduceMax", [x], f"{name}.top", axes=[-1], keepdims=1)
            row = self.node("Mul", [top, "per_gelu"], f"{name}.step")
            row = self.node("Max", [row, "least_gelu"], f"{name}.row")
            zero = "zero_gelu"
        else:
            size = self.node("Abs", [x], f"{name}.size")
            top = self.node("ReduceMax", [size], f"{name}.top", axes=[-1], keepdims=1)
            row = self.node("Mul", [top, "per_both"], f"{name}.step")
            row = self.node("Max", [row, "least_both"], f"{name}.row")
            zero = "zero_both"
        # Divided by its own scale first, every token can then share the scale 1 of the fast kernel.
        scaled = self.node("Div", [x, row], f"{name}.scaled")
        quantised = self.node("QuantizeLinear", [scaled, "one", zero], f"{name}.int8")
        product = self.node(
            "MatMulIntegerToFloat",
            [
                quantised,
                self.constant(f"{name}.weight", whole),
                "one",
                self.constant(f"{name}.scale", scale.astype(np.float32)),
                zero,
                self.constant(f"{name}.zero", np.zeros(len(scale), dtype=np.int8)),
            ],
            f"{name}.product",
            domain=_MS,
        )
        return self.node("Mul", [product, row], name)


def write_int8(weights: Mapping[str, NDArray[np.float32]], config: Mapping[str, Any], file: Path) -> None:
    """Write the int8 form of a BERT encoder.

    Parameters
    ----------
    weights : mapping of str to ndarray of float32
        State dict in transformers' names.
    config : mapping
        Its config.json; `packed_bert.fits` must hold.
    file : Path
        ONNX file with inputs ``ids`` (n, longest) and ``lengths`` (n,), both int32, and output ``hidden``
        (n, longest, width) float32; padding stands on the right.
    """
    try:
        from onnx import TensorProto, helper, save
    except ImportError as error:
        raise MissingExtraError("onnx", "int8", "precision int8") from error
    word = "embeddings.word_embeddings.weight"
    stem = next(name.removesuffix(word) for name in weights if name.endswith(word))

    def get(name: str) -> NDArray[np.float32]:
        return np.asarray(weights[stem + name], dtype=np.float32)

    graph = _Graph()
    for name, value in {
        "one": np.float32(1), "zero_both": np.uint8(128), "zero_gelu": np.uint8(_GELU_ZERO),
        "per_both": np.float32(1 / 127), "least_both": np.float32(1e-12),
        "per_gelu": np.float32(1 / (255 - _GELU_ZERO)), "least_gelu": np.float32(_GELU_LOW / _GELU_ZERO),
    }.items():  # fmt: skip
        graph.constant(name, value)
    eps = float(config.get("layer_norm_eps", 1e-12))
    width = int(config["hidden_size"])
    first = int(config.get("pad_token_id") or 0) + 1 if packed_bert.FAMILIES[config["model_type"]] else 0
    positions = (
        get("embeddings.position_embeddings.weight") + get("embeddings.token_type_embeddings.weight")[0]
    )
    graph.constant("words", get(word))
    graph.constant("positions", positions[first:])
    graph.constant("norm.weight", get("embeddings.LayerNorm.weight"))
    graph.constant("norm.bias", get("embeddings.LayerNorm.bias"))
    hidden = graph.node(
        "EmbedLayerNormalization", ["ids", "", "words", "positions", "", "norm.weight", "norm.bias"],
        "embedded", "unused", domain=_MS, epsilon=eps,
    )  # fmt: skip
    graph.constant("thirds", np.array([width] * 3, dtype=np.int64))
    exact = config.get("hidden_act", "gelu") == "gelu"
    for i in range(int(config["num_hidden_layers"])):
        at, ff, to = f"encoder.layer.{i}.attention", f"encoder.layer.{i}", f"layer{i}"
        three = ("query", "key", "value")
        qkv = np.concatenate([get(f"{at}.self.{n}.weight").T for n in three], axis=1)
        bias = np.concatenate([get(f"{at}.self.{n}.bias") for n in three])
        mixed = graph.linear(hidden, f"{to}.qkv", qkv)
        graph.node("Split", [mixed, "thirds"], f"{to}.q", f"{to}.k", f"{to}.v", axis=2)
        mixed = graph.node(
            "MultiHeadAttention",
            [f"{to}.q", f"{to}.k", f"{to}.v", graph.constant(f"{to}.qkv.bias", bias), "lengths"],
            f"{to}.attention", domain=_MS, num_heads=int(config["num_attention_heads"]),
        )  # fmt: skip

        def norm(x: str, skip: str, name: str, to: str = to) -> str:
            parts = [f"{name}.LayerNorm.weight", f"{name}.LayerNorm.bias", f"{name}.dense.bias"]
            constants = [graph.constant(f"{to}.{part}", get(part)) for part in parts]
            # ONNX Runtime's SkipLayerNormalization takes seven times as long as these three (1.9 against
            # 0.3 us a token of 384).
            biased = graph.node("Add", [x, constants[2]], f"{to}.{name}.biased")
            total = graph.node("Add", [biased, skip], f"{to}.{name}.sum")
            return graph.node(
                "LayerNormalization", [total, *constants[:2]], f"{to}.{name}", axis=-1, epsilon=eps
            )

        out = graph.linear(mixed, f"{to}.out", get(f"{at}.output.dense.weight").T)
        middle = norm(out, hidden, f"{at}.output")
        up = graph.linear(middle, f"{to}.up", get(f"{ff}.intermediate.dense.weight").T)
        up_bias = graph.constant(f"{to}.up.bias", get(f"{ff}.intermediate.dense.bias"))
        inner = graph.node("BiasGelu" if exact else "FastGelu", [up, up_bias], f"{to}.gelu", domain=_MS)
        down = graph.linear(inner, f"{to}.down", get(f"{ff}.output.dense.weight").T, after_gelu=True)
        hidden = norm(down, middle, f"{ff}.output")
    graph.node("Identity", [hidden], "hidden")
    shape: list[Any] = ["n", "longest", width]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "int8",
            [
                helper.make_tensor_value_info("ids", TensorProto.INT32, ["n", "longest"]),
                helper.make_tensor_value_info("lengths", TensorProto.INT32, ["n"]),
            ],
            [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, shape)],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(_MS, 1)],
        ir_version=8,
    )
    save(model, str(file))
