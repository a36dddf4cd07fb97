"""Data flows one way: every import points to the same room or to one above it (see STYLE.md)."""

import ast
from pathlib import Path

import pytest

import taolu

PACKAGE = Path(taolu.__file__).parent
ROOMS = ("bits", "text", "count", "chain", "fit", "graph", "mine", "nn", "tasks")  # top to bottom
BASE = ("errors", "_kernel")  # above every room
DOORS = ("__init__", "__main__", "cli", "report", "guide")  # may look into any room
NUMPY_ROOMS_OF_NN = ("bits", "text")
KERAS_ROOMS = ("nn", "tasks")
BACKENDS = ("jax", "torch", "tensorflow")
BACKEND_FILE = "nn/differentiate.py"

# Imports against the rule, each with its reason.
ALLOWED = {
    # Saving may write the report; inside a function, so that loading a codebook loads no plotting.
    ("mine/codebook.py", "report"),
    # Likewise a finished training.
    ("tasks/tag.py", "report"),
}


def imported(tree, parts):
    """Yields the dotted name of every import that runs, and whether it stands in a function.

    `from a import b` gives `a.b`, which names `b` where it is a module; `parts` is the place of
    the file below the package, for relative imports.
    """
    stack = [(tree, False)]
    while stack:
        node, inside = stack.pop()
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                base = ["taolu", *parts[: len(parts) - node.level], *base]
            yield from ((".".join([*base, alias.name]), inside) for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            stack += [(child, inside) for child in node.orelse]
            continue
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        stack += [(child, inside) for child in ast.iter_child_nodes(node)]


def room_of(parts):
    """The room of a file or module below the package: its folder, or its own name."""
    return parts[0].removesuffix(".py") if parts else "__init__"


def fault(path, name, inside):
    """Says what is wrong with one import of the file at this path below the package, or None."""
    room, (root, *parts) = room_of(path.split("/")), name.split(".")
    if root == "keras" and room not in KERAS_ROOMS:
        return f"{path} imports keras: only nn/ and tasks/ may"
    if root in BACKENDS and path != BACKEND_FILE:
        return f"{path} imports {root}: only {BACKEND_FILE} may name a backend"
    if root != "taolu" or room in DOORS:
        return None
    target = room_of(parts)
    if (path, target) in ALLOWED and inside:
        return None
    if target not in (*BASE, *ROOMS):
        return f"{path} imports {name}: a door, or no room at all"
    if target in BASE or target == room:
        return None
    if room in BASE or ROOMS.index(target) > ROOMS.index(room):
        return f"{path} imports {name}: {target}/ lies below {room}"
    if room == "nn" and target not in NUMPY_ROOMS_OF_NN:
        return f"{path} imports {name}: nn/ sees only bits/ and text/"
    return None


def faults(path, source):
    found = imported(ast.parse(source), path.split("/"))
    return [wrong for name, inside in found if (wrong := fault(path, name, inside))]


FILES = sorted(str(path.relative_to(PACKAGE).as_posix()) for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES)
def test_imports_point_up_the_page(path):
    assert faults(path, (PACKAGE / path).read_text(encoding="utf-8")) == []


def test_every_file_has_a_room():
    assert {room_of(path.split("/")) for path in FILES} <= {*BASE, *DOORS, *ROOMS}


def test_every_exception_is_still_needed():
    for path, target in ALLOWED:
        names = imported(ast.parse((PACKAGE / path).read_text(encoding="utf-8")), path.split("/"))
        assert any(name.startswith(f"taolu.{target}") for name, _ in names), (path, target)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("bits/entropy.py", "from taolu.text.corpus import Corpus"),
        ("bits/entropy.py", "import taolu.mine.learn"),
        ("bits/entropy.py", "from taolu import mine"),
        ("count/ngrams.py", "def f():\n    from taolu.mine.learn import learn"),
        ("count/ngrams.py", "class A:\n    def f(self):\n        import taolu.graph.infomap"),
        ("count/ngrams.py", "try:\n    from ..chain import lattice\nexcept ImportError: pass"),
        ("count/__init__.py", "from ..chain import lattice"),
        ("errors.py", "from taolu.text.corpus import Corpus"),
        ("_kernel.py", "from .bits import entropy"),
        ("mine/learn.py", "import taolu"),
        ("mine/learn.py", "from taolu.cli import main"),
        ("mine/learn.py", "from taolu import learn"),
        ("mine/learn.py", "from taolu.report.codebook import write_report"),
        ("mine/learn.py", "from taolu.nn.layers.crf import CRF"),
        ("mine/codebook.py", "from taolu.report.codebook import write_report"),
        ("nn/layers/crf.py", "from taolu.chain.linear import LinearChain"),
        ("nn/layers/crf.py", "from ...chain import linear"),
        ("nn/layers/crf.py", "import jax.numpy as jnp"),
        ("fit/em.py", "import keras"),
        ("cli.py", "def main():\n    import keras"),
        ("tasks/tag.py", "import torch"),
        ("text/corpus.py", "if TYPE_CHECKING:\n    pass\nelse:\n    import taolu.mine.learn"),
    ],
)
def test_a_wrong_import_is_found(path, source):
    assert len(faults(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("text/corpus.py", "from taolu.errors import CorpusError\nimport numpy as np"),
        ("text/corpus.py", "from taolu.bits.codelength import Step\nfrom . import normalize"),
        ("text/corpus.py", "if TYPE_CHECKING:\n    from taolu.mine.codebook import Codebook"),
        ("mine/codebook.py", "def save():\n    from taolu.report.codebook import write_report"),
        ("mine/learn.py", "from ..graph.infomap import infomap\nfrom taolu._kernel import kernel"),
        (
            "nn/layers/crf.py",
            "import keras\nfrom taolu.text import spans\nfrom taolu.bits import hsic",
        ),
        ("nn/differentiate.py", "import jax\nimport torch\nimport tensorflow as tf"),
        (
            "tasks/tag.py",
            "import keras\nfrom taolu.nn.layers.crf import CRF\nimport taolu.mine.cut",
        ),
        ("cli.py", "from taolu.mine.learn import learn\nfrom taolu.tasks import tag"),
        ("__init__.py", "from taolu.mine.learn import learn"),
        ("report/codebook.py", "from taolu.mine.codebook import Codebook"),
    ],
)
def test_a_right_import_passes(path, source):
    assert faults(path, source) == []
