"""Imports point one way: a module imports from its own layer and those below, and what a layer may use is said here.

protocol, settings <- */base.py <- model <- http <- app <- server, cli; adapters know `protocol` and the contracts, and
only `backends`, below app, knows them;
`assembly`, `configured`, `plugin` and `routes` are of the layer of `app`; `resources` are written with the
toolkit's public names only.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import kobako

ROOT = Path(kobako.__file__).parent
MODULES = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py"))

CONTRACTS = {"storage.base", "storage.selecting", "permission.base", "cache.base", "databases.base", "metrics.base"}
ADAPTERS = {"storage", "permission", "cache", "databases"}

ALLOWED = {
    "protocol": {"protocol"},
    "settings": {"settings", "protocol"},
    "contracts": {"protocol", "contracts"},
    "adapters": {"protocol", "contracts", "adapters"},
    "model": {"protocol", "contracts", "model"},
    "http": {"protocol", "settings", "contracts", "model", "http"},
    "policies": {"protocol", "settings", "contracts", "model", "http", "remote", "policies"},
    "remote": {"protocol", "settings", "remote"},
    "listeners": {"protocol", "settings", "contracts", "adapters", "model", "listeners"},
    "metrics": {"settings", "contracts", "model", "http", "metrics"},
    "monitoring": {"settings", "monitoring"},
    "backends": {"protocol", "settings", "contracts", "adapters"},
    "app": {"protocol", "settings", "contracts", "backends", "model", "http", "policies", "metrics", "app"},
    "toolkit": {"protocol", "settings", "contracts", "model", "http", "policies", "remote", "app", "monitoring"},
    "resources": {"toolkit", "resources"},
    "plugins": {"toolkit", "plugins"},
    "testing": {"protocol", "settings", "contracts", "model", "http", "app", "testing"},
    "server": {
        "toolkit",
        "settings",
        "resources",
        "app",
        "backends",
        "protocol",
        "contracts",
        "adapters",
        "model",
        "metrics",
        "monitoring",
        "listeners",
        "plugins",
        "server",
    },
}


def layer(module: str) -> str:
    """Return the layer of a module, named without the package: `storage.base` is a contract."""
    head = module.partition(".")[0]
    if head == "plugins" and module.endswith(".commands"):
        return "server"
    if module in CONTRACTS:
        return "contracts"
    if head in ADAPTERS:
        return "adapters"
    if head in ("app", "assembly", "configured", "plugin", "routes"):
        return "app"
    if head in ("server", "cli", "__main__", "serving", "wire", "scaffold", "stock", "moving", "upkeep", "logs"):
        return "server"
    return head or "toolkit"


def imported(path: str) -> Iterator[str]:
    """Yield the modules of the package that a file imports, at its top or inside of functions."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from kobako.http import cors` imports the module kobako.http.cors.
            for each in node.names:
                name = f"{node.module}.{each.name}"
                file = ROOT.parent / Path(*name.split("."))
                yield name if file.with_suffix(".py").exists() or file.is_dir() else node.module


@pytest.mark.parametrize("path", MODULES)
def test_imports_point_down(path: str) -> None:
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".").replace("__init__", "")
    allowed = ALLOWED[layer(module)]

    upwards = {
        name
        for name in imported(path)
        if name.split(".")[0] == "kobako" and layer(name.removeprefix("kobako").removeprefix(".")) not in allowed
    }

    assert not upwards, f"{path} is of the layer {layer(module)!r}, and imports {sorted(upwards)}"


@pytest.mark.parametrize("path", [path for path in MODULES if path.startswith("protocol/")])
def test_the_protocol_neither_waits_nor_opens_anything(path: str) -> None:
    tree = ast.parse((ROOT / path).read_text())

    waiting = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]
    opening = {"asyncio", "socket", "pathlib", "os", "time", "threading"} & {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }

    assert not waiting
    assert not opening
