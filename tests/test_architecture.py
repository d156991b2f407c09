"""The house rules of the design: who imports whom, who names what, and what importing costs."""

import ast
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lstm_convert

PACKAGE = "lstm_convert"
ROOT = Path(lstm_convert.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}

# What the modules of each part may import of the others; a folder is one part, and so is the package itself.
MAY_IMPORT = {
    "errors": [],
    "beside": [],
    "leases": [],
    "mapped": ["beside", "errors", "leases"],
    "blocks": ["beside", "mapped"],
    "bundle": [],
    "canonical": ["canonical", "errors"],
    "activations": ["canonical", "errors"],
    "layout": ["canonical", "errors"],
    "packing": ["blocks", "bundle", "canonical", "errors", "layout"],
    "table": ["activations", "canonical", "layout"],
    "kernels": ["mapped"],
    "reference": ["activations", "canonical", "errors", "kernels"],
    "network": [
        "activations", "blocks", "canonical", "errors", "kernels", "network", "precision", "proof", "reference",
        "sampling", "sequences",
    ],
    "precision": ["blocks", "canonical", "errors"],
    "sampling": ["beside", "blocks", "canonical", "errors", "precision"],
    "proof": ["beside", "canonical", "errors", "precision", "reference", "sampling"],
    "strangers": [],
    "formats": ["errors", "strangers"],
    "json_text": ["errors"],
    "yaml_text": ["errors"],
    "containers": ["beside", "blocks", "containers", "errors", "json_text", "mapped"],
    "export": ["activations", "blocks", "bundle", "canonical", "errors", "export", "network", "packing", "table"],
    "frameworks": [
        "activations", "blocks", "bundle", "canonical", "containers", "errors", "export", "frameworks", "layout",
        "json_text", "mapped", "network", "packages", "packing", "table",
    ],
    "packages": ["errors"],
    "support": ["activations", "canonical", "formats", "frameworks", "table"],
    "conversion": [
        "blocks", "canonical", "errors", "formats", "frameworks", "json_text", "placing", "portion", "precision",
        "proof", "sources", "writing", "yaml_text",
    ],
    "placing": ["beside", "errors"],
    "sources": ["errors", "formats"],
    "writing": [
        "canonical", "errors", "formats", "frameworks", "mapped", "network", "placing", "portion", "precision", "proof",
        "proofs", "sources",
    ],
    "portion": ["canonical", "errors", "frameworks"],
    "rounding": [],
    "sequences": ["canonical", "containers", "errors"],
    "sides": ["canonical", "containers", "conversion", "errors", "formats", "frameworks", "reference", "sequences"],
    "proofs": [
        "canonical", "containers", "errors", "frameworks", "json_text", "placing", "reference", "rounding",
        "sequences",
    ],
    "comparison": ["errors", "frameworks", "rounding", "sequences", "sides"],
    "network_verification": [
        "canonical", "comparison", "errors", "frameworks", "network", "rounding", "sides",
    ],
    "verification": [
        "canonical", "comparison", "errors", "network_verification", "proofs", "rounding", "sequences", "sides",
    ],
    "diagnosis": ["canonical", "conversion", "diagnosis", "errors", "reference", "table"],
    "analysis": ["activations", "analysis", "blocks", "canonical", "containers", "errors", "network"],
    "plots": ["analysis", "canonical", "errors", "plots"],
    "report": ["analysis", "canonical", "errors", "packages", "placing", "plots", "report"],
    "reading": [
        "analysis", "canonical", "containers", "conversion", "errors", "formats", "frameworks", "placing", "portion",
        "report", "sequences", "sources", "writing", PACKAGE,
    ],
    "collection": [
        "analysis", "collection", "containers", "conversion", "errors", "formats", "leases", "packages", "proofs",
        "report", "sources", PACKAGE,
    ],
    "reading_answers": ["analysis", "canonical", "reading", "report"],
    "answers": ["canonical", "conversion", "diagnosis", "network", "packing", "proof", "sampling", "table"],
    "terminal": ["verification"],
    "options": [],
    "__main__": ["cli"],
    PACKAGE: ["canonical", "collection", "conversion", "diagnosis", "errors", "frameworks", "proof", "verification"],
}  # fmt: skip
MAY_IMPORT["cli_batch"] = [*MAY_IMPORT]
MAY_IMPORT["cli_reading"] = [*MAY_IMPORT]
MAY_IMPORT["cli"] = [*MAY_IMPORT]
PRINTING = ("cli", "cli_batch", "cli_reading", "terminal", "__main__")
CORE = [
    "activations", "blocks", "bundle", "canonical", "conversion", "errors", "layout", "network", "packing", "precision",
    "proof", "reference", "sampling", "sources", "writing",
]  # fmt: skip
HEAVY = [
    "numpy",
    "h5py",
    "ml_dtypes",
    "safetensors",
    "torch",
    "tensorflow",
    "keras",
    "matplotlib",
    "pyarrow",
    "yaml",
    "rich",
    "fsspec",
    "distributed",
]


def part(module: str) -> str:
    return module.removeprefix(f"{PACKAGE}.").partition(".")[0]


def inside(folder: str) -> list[str]:
    return [module for module in MODULES if part(module) == folder]


def code(module: str) -> ast.Module:
    """Return a module's code without its docstrings; comments are gone anyway."""
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def imported(module: str) -> Iterator[tuple[str, str]]:
    """Yield (module, name) for all that a module imports of its own package, at its top or inside a function."""
    for node in ast.walk(code(module)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if is_ours(alias.name))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = [alias.name for alias in node.names if is_ours(str(node.module))]
            yield from ((home_of(str(node.module), name), name) for name in names)


def home_of(module: str, name: str) -> str:
    """Return the module that is loaded for a name: the name itself where it is one."""
    return f"{module}.{name}" if f"{module}.{name}" in MODULES else module


def is_ours(module: str) -> bool:
    return module.partition(".")[0] == PACKAGE


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_part_may(module: str) -> None:
    assert part(module) in MAY_IMPORT
    found = {part(home) for home, _ in imported(module)}
    assert found <= set(MAY_IMPORT[part(module)])


def test_the_import_checks_see_imports() -> None:
    """A check that finds nothing to check holds nothing: some imports that must be there are."""
    assert (f"{PACKAGE}.table", "PYTORCH") in set(imported(f"{PACKAGE}.frameworks.pytorch.state_dict"))
    assert (f"{PACKAGE}.conversion", "load") in set(imported(f"{PACKAGE}.cli"))
    assert (f"{PACKAGE}.containers.zips", "zips") in set(imported(f"{PACKAGE}.containers.npz"))


@pytest.mark.parametrize("module", inside("frameworks"))
def test_an_adapter_sees_no_bytes(module: str) -> None:
    used = {(home, name) for home, name in imported(module) if part(home) == "containers"}
    assert used <= {(f"{PACKAGE}.containers", name) for name in ("Contents", "Stored")}


@pytest.mark.parametrize("module", [module for name in CORE for module in inside(name)])
def test_the_core_names_no_framework(module: str) -> None:
    assert not re.findall("keras|torch|tensorflow", ast.unparse(code(module)), re.IGNORECASE)


@pytest.mark.parametrize("module", inside("frameworks") + inside("containers"))
def test_adapters_and_containers_name_no_gate_order(module: str) -> None:
    orders = {"".join(order) for letters in ("ifgo", "ifco", "ifjo") for order in itertools.permutations(letters)}
    texts = {node.value for node in ast.walk(code(module)) if isinstance(node, ast.Constant)}
    assert not orders & {text for text in texts if isinstance(text, str)}


def calls(module: str) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(code(module)) if isinstance(node, ast.Call)}


@pytest.mark.parametrize("module", [module for module in MODULES if part(module) not in PRINTING])
def test_the_library_never_prints_warns_or_exits(module: str) -> None:
    assert not calls(module) & {"print", "sys.exit", "exit", "quit", "os._exit", "warnings.warn", "click.echo"}


def test_only_the_command_line_prints_and_exits() -> None:
    assert calls(f"{PACKAGE}.cli") >= {"sys.exit", "click.echo"}
    assert "click.echo" in calls(f"{PACKAGE}.terminal")


def loaded_by(script: str) -> set[str]:
    """Return which heavy packages are loaded once a script has run in a process of its own."""
    report = f"import sys\n{script}\nprint(*[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)  # noqa: S603 (this very Python)
    return set(done.stderr.split())


COMMAND = """
from lstm_convert.cli import main
sys.argv = ["lstm-convert", {arguments}]
try:
    main()
except SystemExit as leaving:
    assert not leaving.code
"""


@pytest.mark.parametrize(
    ("script", "allowed"),
    [
        ("import lstm_convert", set()),
        ("import lstm_convert.errors, lstm_convert.formats", set()),
        (COMMAND.format(arguments="'--help'"), set()),
        (COMMAND.format(arguments="'convert', '--help'"), set()),
        (COMMAND.format(arguments="'formats', '--json'"), set()),
        ("import lstm_convert; lstm_convert.load", {"numpy"}),
        ("import lstm_convert; lstm_convert.from_torch; lstm_convert.to_keras", {"numpy"}),
    ],
    ids=["import", "formats", "help", "convert help", "formats --json", "load", "live"],
)
def test_nothing_is_loaded_before_it_is_needed(script: str, allowed: set[str]) -> None:
    assert loaded_by(script) == allowed


def test_click_is_no_part_of_the_library() -> None:
    script = "import sys, lstm_convert; lstm_convert.convert; assert 'click' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603 (this very Python)


@pytest.mark.parametrize("name", sorted(set(lstm_convert.__all__) - {"__version__"}))
def test_every_public_name_resolves_and_says_what_it_is(name: str) -> None:
    summary = (getattr(lstm_convert, name).__doc__ or "").strip().partition("\n")[0]
    assert re.fullmatch(r"[A-Z].+[.:]", summary)


def test_no_public_name_is_a_modules_too() -> None:
    """Importing a module puts it into its package under its own name, over a function of that name."""
    assert not {f"{PACKAGE}.{name}" for name in lstm_convert.__all__} & MODULES.keys()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        lstm_convert.nothing  # noqa: B018 (asking for it is what is tested)
