"""BERT in eight-bit integers as an ONNX graph, written node by node.

Why not `torch.onnx.export` and `quantize_dynamic`: a traced export may bake the mask of its example in,
and dynamic quantisation takes one scale for a whole batch, so that a text's vector depends on its
neighbours. Here each *token* has a scale of its own (per-row activations, per-column weights, as in
LLM.int8(), Dettmers et al. 2022, arXiv 2208.07339): a vector depends on its text alone, and is closer
to float32. Weights use seven bits, since on processors without VNNI the sum of two products of eight
bits overflows sixteen.

All texts of a batch have the same length, so that there is neither padding nor a mask. Outside attention
a batch is one matrix, a row for each token. A third to two thirds of the time goes to the passes between
the products, so that the nodes are chosen by what ONNX Runtime takes for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusionspark.errors import MissingExtraError
from fusionspark.represent import packed_bert

#: Changes whenever the graph does, so that an older file in a cache is not taken for a new one.
VERSION = 3

_TOP = 63
_MS = "com.microsoft"
#: Lowest value of GELU, rounded away from zero, and the zero point that leaves room for it.
_GELU_LOW, _GELU_ZERO = 0.1701, 20


#: Name of a weight to its values.
_Weights = Callable[[str], NDArray[np.float32]]


class _Quantised(NamedTuple):
    """Names of a matrix in eight bits, of its scale for each row, and of its zero point."""

    whole: str
    row: str
    zero: str


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

    def quantise(self, x: str, name: str, after_gelu: bool = False) -> _Quantised:
        """``x`` in eight bits, each row by its own largest value."""
        # After GELU values are one-sided: only the largest of a token is asked for.
        kind = "gelu" if after_gelu else "both"
        size = x if after_gelu else self.node("Abs", [x], f"{name}.size")
        top = self.node("ReduceMax", [size, "last"], f"{name}.top", keepdims=1)
        row = self.node("Mul", [top, f"per_{kind}"], f"{name}.step")
        row = self.node("Max", [row, f"least_{kind}"], f"{name}.row")
        scale = self.node("Reshape", [row, "vector"], f"{name}.scale")
        whole = self.node("QuantizeLinear", [x, scale, f"zeros_{kind}"], f"{name}.whole", axis=0)
        return _Quantised(whole, row, f"zero_{kind}")

    def linear(self, x: _Quantised, name: str, weight: NDArray[np.float32]) -> str:
        """``x @ weight`` without bias; ``weight`` has shape (in, out)."""
        scale = np.maximum(np.abs(weight).max(axis=0), 1e-12) / _TOP
        whole = np.rint(weight / scale).astype(np.int8)
        product = self.node(
            "MatMulIntegerToFloat",
            [
                x.whole,
                self.constant(f"{name}.weight", whole),
                # The kernel takes one scale for all rows: theirs are multiplied in afterwards.
                "one",
                self.constant(f"{name}.scale", scale.astype(np.float32)),
                x.zero,
                self.constant(f"{name}.zero", np.zeros(len(scale), dtype=np.int8)),
            ],
            f"{name}.product",
            domain=_MS,
        )
        return self.node("Mul", [product, x.row], name)


def _layer(graph: _Graph, get: _Weights, config: Mapping[str, Any], i: int, hidden: str) -> str:
    """Nodes of layer ``i`` on the matrix ``hidden``; the name of what comes out."""
    at, ff, to = f"encoder.layer.{i}.attention", f"encoder.layer.{i}", f"layer{i}"
    heads, eps = int(config["num_attention_heads"]), float(config.get("layer_norm_eps", 1e-12))

    def norm(x: str, skip: str, name: str, bias: NDArray[np.float32]) -> str:
        weight, shift = (
            graph.constant(f"{to}.{name}.norm.{part}", get(f"{ff}.{name}.LayerNorm.{part}"))
            for part in ("weight", "bias")
        )
        # ONNX Runtime's SkipLayerNormalization takes seven times as long as these three (1.9 against
        # 0.3 us a token of 384).
        biased = graph.node("Add", [x, graph.constant(f"{to}.{name}.bias", bias)], f"{to}.{name}.biased")
        total = graph.node("Add", [biased, skip], f"{to}.{name}.sum")
        return graph.node("LayerNormalization", [total, weight, shift], f"{to}.{name}", axis=-1, epsilon=eps)

    rows = graph.quantise(hidden, f"{to}.in")
    query, key, value = (
        graph.linear(rows, f"{to}.{name}", get(f"{at}.self.{name}.weight").T)
        for name in ("query", "key", "value")
    )
    # The key's bias adds the same to all scores of a query, which softmax takes out again; the shares of a
    # query sum to one, so that the value's bias passes through attention into the bias of the layer behind.
    asked = graph.constant(f"{to}.query.bias", get(f"{at}.self.query.bias"))
    query = graph.node("Add", [query, asked], f"{to}.query.biased")
    # The standard's operator: ONNX Runtime's own MultiHeadAttention takes twice as long.
    mixed = graph.node(
        "Attention",
        [graph.node("Reshape", [x, "texts"], f"{x}.texts") for x in (query, key, value)],
        f"{to}.attention", q_num_heads=heads, kv_num_heads=heads,
    )  # fmt: skip
    mixed = graph.node("Reshape", [mixed, "matrix"], f"{to}.mixed")
    weight = get(f"{at}.output.dense.weight")
    bias = get(f"{at}.output.dense.bias") + weight @ get(f"{at}.self.value.bias")
    out = graph.linear(graph.quantise(mixed, f"{to}.mixed"), f"{to}.out", weight.T)
    middle = norm(out, hidden, "attention.output", bias)
    rows = graph.quantise(middle, f"{to}.middle")
    up = graph.linear(rows, f"{to}.up", get(f"{ff}.intermediate.dense.weight").T)
    up_bias = graph.constant(f"{to}.up.bias", get(f"{ff}.intermediate.dense.bias"))
    biased = graph.node("Add", [up, up_bias], f"{to}.up.biased")
    exact = config.get("hidden_act", "gelu") == "gelu"
    inner = graph.node("Gelu", [biased], f"{to}.gelu", approximate="none" if exact else "tanh")
    rows = graph.quantise(inner, f"{to}.inner", after_gelu=True)
    down = graph.linear(rows, f"{to}.down", get(f"{ff}.output.dense.weight").T)
    return norm(down, middle, "output", get(f"{ff}.output.dense.bias"))


def write_int8(weights: Mapping[str, NDArray[np.float32]], config: Mapping[str, Any], file: Path) -> None:
    """Write the int8 form of a BERT encoder.

    Parameters
    ----------
    weights : mapping of str to ndarray of float32
        State dict in transformers' names.
    config : mapping
        Its config.json; `packed_bert.fits` must hold.
    file : Path
        ONNX file with input ``ids`` (n, length) int32, texts of one length without padding, and output
        ``hidden`` (n * length, width) float32.
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
    width = int(config["hidden_size"])
    for name, value in {
        "one": np.float32(1), "zero_both": np.uint8(128), "zero_gelu": np.uint8(_GELU_ZERO),
        "per_both": np.float32(1 / 127), "least_both": np.float32(1e-12),
        "per_gelu": np.float32(1 / (255 - _GELU_ZERO)), "least_gelu": np.float32(_GELU_LOW / _GELU_ZERO),
        "last": np.array([-1]), "vector": np.array([-1]), "matrix": np.array([-1, width]),
        "width": np.array([width]),
    }.items():  # fmt: skip
        graph.constant(name, value)
    eps = float(config.get("layer_norm_eps", 1e-12))
    first = int(config.get("pad_token_id") or 0) + 1 if packed_bert.FAMILIES[config["model_type"]] else 0
    positions = (
        get("embeddings.position_embeddings.weight") + get("embeddings.token_type_embeddings.weight")[0]
    )
    graph.constant("words", get(word))
    graph.constant("positions", positions[first:])
    graph.constant("norm.weight", get("embeddings.LayerNorm.weight"))
    graph.constant("norm.bias", get("embeddings.LayerNorm.bias"))
    embedded = graph.node(
        "EmbedLayerNormalization", ["ids", "", "words", "positions", "", "norm.weight", "norm.bias"],
        "embedded", "unused", domain=_MS, epsilon=eps,
    )  # fmt: skip
    hidden = graph.node("Reshape", [embedded, "matrix"], "embedded.matrix")
    graph.node("Shape", ["ids"], "shape")
    graph.node("Concat", ["shape", "width"], "texts", axis=0)
    graph.node("ReduceProd", ["shape"], "tokens", keepdims=1)
    for kind in ("both", "gelu"):
        graph.node("Expand", [f"zero_{kind}", "tokens"], f"zeros_{kind}")
    for i in range(int(config["num_hidden_layers"])):
        hidden = _layer(graph, get, config, i, hidden)
    graph.node("Identity", [hidden], "hidden")
    ids = helper.make_tensor_value_info("ids", TensorProto.INT32, ["n", "length"])
    last = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["tokens", width])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "int8", [ids], [last], graph.constants),
        opset_imports=[helper.make_opsetid("", 23), helper.make_opsetid(_MS, 1)],
        ir_version=10,
    )
    save(model, str(file))
