"""Imports between the rooms point downward only, and what must stay out of a room does.

The rules are checked on the source: no import escapes by standing in a branch or a function.

Read: docs/design.md for the rooms, ast in the Python Library Reference.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "rootlessnet"

# A room may import the rooms of the lines above its own. "rootlessnet" is __init__.py, the API.
LAYERS = (
    {"bounds"},
    {"wire"},
    {"tcp"},
    {"stack"},
    {"errors", "log"},
    {"words"},
    {"added_host", "addressing", "forward", "hardware_address", "limit", "target"},
    {"publishing", "reservation", "to_host"},
    {"config", "exit_status", "limits", "resolv_conf", "socket_file", "state_folder"},
    {"ipv6_default", "network_plan"},
    {"host", "netns", "control", "hardening"},
    {"app"},
    {"running"},
    {"rootlessnet"},
    {"cli"},
    {"__main__"},
)
LAYER_OF = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms}
# These import only one another, however high they stand.
VALUES = {
    *("bounds", "errors", "log", "words", "added_host", "addressing", "forward", "limit"),
    *("hardware_address", "publishing", "target"),
    *("reservation", "to_host", "config", "exit_status", "limits", "resolv_conf", "ipv6_default"),
    *("socket_file", "state_folder"),
}
# A packet never comes this way: it needs the values alone of what stands below it.
APART = {"control", "hardening"}
SANS_IO = {"wire", "tcp", "stack"}
IO = {"asyncio", "os", "select", "selectors", "socket", "subprocess", "threading", "time"}
DEPENDENCIES = {"dns", "pytun", "uvloop"}  # as in pyproject.toml, by the names of their modules
SLOW = {"dns": "host", "pytun": "netns"}  # to import: this room alone does


@dataclass(frozen=True)
class Import:
    """`lazy` is one that does not happen when `importer` is imported."""

    importer: str
    imported: str
    lazy: bool

    def __str__(self) -> str:
        return f"{self.importer} imports {self.imported}"


def test_the_tree_keeps_the_rules() -> None:
    assert list(breaches(read_tree(PACKAGE))) == []


def test_the_tree_was_read() -> None:
    assert {"rootlessnet", "rootlessnet.config", "rootlessnet.wire.tcp"} <= read_tree(
        PACKAGE
    ).keys()


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("rootlessnet.wire.tcp", "import struct, enum\nfrom rootlessnet.wire.ip import IP"),
        ("rootlessnet.tcp.sender", "from rootlessnet.wire import ip"),
        ("rootlessnet.config", "from rootlessnet.errors import UsageError"),
        ("rootlessnet.host.tap", "import asyncio, uvloop\nfrom rootlessnet.stack.udp import Flow"),
        ("rootlessnet.netns.interface", "def make():\n    import pytun"),
        ("rootlessnet.netns.child", "if TYPE_CHECKING:\n    from pytun import TunTapDevice"),
        ("rootlessnet.cli.main", "from rootlessnet import __version__"),
        ("rootlessnet.control.server", "import asyncio\nfrom rootlessnet.words import quoted"),
        ("rootlessnet.app", "from rootlessnet.control.server import Server"),
    ],
)
def test_what_the_rules_allow(importer: str, source: str) -> None:
    assert list(breaches({importer: source, "rootlessnet.wire.ip": ""})) == []


@pytest.mark.parametrize(
    ("importer", "source", "breach"),
    [
        ("rootlessnet.wire.tcp", "import rootlessnet.tcp.sender", "stands above it"),
        ("rootlessnet.wire.tcp", "from rootlessnet.errors import UsageError", "stands above it"),
        ("rootlessnet.stack.udp", "from rootlessnet import config", "stands above it"),
        ("rootlessnet.host.tap", "from rootlessnet.netns.tap import Tap", "stands beside it"),
        ("rootlessnet.app", "def f():\n  from rootlessnet.cli.main import main", "stands above it"),
        ("rootlessnet.config", "from rootlessnet.wire import ip", "is a room"),
        ("rootlessnet.control.server", "from rootlessnet.host.tap import Tap", "stands beside it"),
        (
            "rootlessnet.control.server",
            "from rootlessnet.wire import ip",
            "is none of its business",
        ),
        ("rootlessnet.kitchen.sink", "", "is in no room of LAYERS"),
        ("rootlessnet.tcp.timers", "import time", "is for rooms with sockets"),
        (
            "rootlessnet.stack.udp",
            "if x:\n  from asyncio.events import Handle",
            "for rooms with sockets",
        ),
        ("rootlessnet.tcp.engine", "import uvloop", "is no part of the standard library"),
        ("rootlessnet.host.tap", "import scapy.all", "is no dependency"),
        ("rootlessnet.netns.child", "try:\n  import pytun\nfinally: pass", "inside a function"),
        ("rootlessnet.host.tap", "def f():\n  from pytun import IFF_TAP", "is for netns alone"),
        ("rootlessnet.app", "def f():\n  import dns.message", "is for host alone"),
        ("rootlessnet.host.dns.own_names", "import dns.message", "inside a function"),
        ("rootlessnet.wire.tcp", "from . import ip", "write its whole name"),
        ("rootlessnet.tcp.a", "from rootlessnet.tcp import a", "imports itself by way of"),
    ],
)
def test_what_the_rules_forbid(importer: str, source: str, breach: str) -> None:
    sources = {"rootlessnet.config": "", "rootlessnet.wire.ip": ""} | {importer: source}
    (found,) = breaches(sources)
    assert breach in found


def test_a_cycle_of_modules_in_one_room_is_found() -> None:
    sources = {
        "rootlessnet.tcp.a": "from rootlessnet.tcp import b",
        "rootlessnet.tcp.b": "def f():\n    from rootlessnet.tcp.a import x",
    }
    (found,) = breaches(sources)
    assert "rootlessnet.tcp.a" in found
    assert "rootlessnet.tcp.b" in found


def read_tree(package: Path) -> dict[str, str]:
    """The source of every module, by its dotted name."""
    sources = {}
    for path in package.rglob("*.py"):
        names = path.relative_to(package.parent).with_suffix("").parts
        module = ".".join(names[:-1] if names[-1] == "__init__" else names)
        sources[module] = path.read_text(encoding="utf-8")
    return sources


def breaches(sources: dict[str, str]) -> Iterator[str]:
    """A line for each breach of a rule, which begins with the module to mend."""
    yield from (
        f"{module} is in no room of LAYERS" for module in sources if room(module) not in LAYER_OF
    )
    imports = [found for module in sources for found in imports_of(module, sources)]
    for found in imports:
        if fault := own_fault(found) if is_own(found.imported) else foreign_fault(found):
            yield f"{found}, which {fault}"
    graph: dict[str, set[str]] = {module: set() for module in sources}
    for found in imports:
        graph[found.importer].add(found.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        yield f"{circle[0]} imports itself by way of {', '.join(circle[1:-1]) or 'nothing else'}"


def imports_of(module: str, sources: dict[str, str]) -> Iterator[Import]:
    """Every import in `module`, those inside functions and conditions too."""

    def visit(node: ast.AST, lazy: bool) -> Iterator[Import]:
        match node:
            case ast.Import(names):
                yield from (Import(module, alias.name, lazy) for alias in names)
            case ast.ImportFrom(package, names, level):
                origin = "." * level + (package or "")
                for alias in names:
                    submodule = f"{origin}.{alias.name}"
                    yield Import(module, submodule if submodule in sources else origin, lazy)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.If(ast.Name("TYPE_CHECKING")):
                lazy = True
        for child in ast.iter_child_nodes(node):
            yield from visit(child, lazy)

    return visit(ast.parse(sources[module]), lazy=False)


def own_fault(found: Import) -> str | None:
    """What is wrong with an import of one of our own modules, if anything is."""
    importer, imported = room(found.importer), room(found.imported)
    if importer == imported:
        return None
    if importer in VALUES and imported not in VALUES:
        return "is a room: a module of values needs none"
    match LAYER_OF.get(importer, len(LAYERS)) - LAYER_OF.get(imported, 0):
        case 0:
            return "stands beside it"
        case below if below < 0:
            return "stands above it"
    if importer in APART and imported not in VALUES:
        return "is none of its business"
    return None


def foreign_fault(found: Import) -> str | None:
    """What is wrong with an import of anything else, if anything is."""
    importer, package = room(found.importer), found.imported.partition(".")[0]
    if not package:
        return "is relative: write its whole name"
    if package in sys.stdlib_module_names:
        sans_io = importer in SANS_IO and package in IO
        return "is for rooms with sockets and a clock" if sans_io else None
    if importer in SANS_IO:
        return "is no part of the standard library"
    if package not in DEPENDENCIES:
        return "is no dependency of rootlessnet"
    if importer != SLOW.get(package, importer):
        return f"is for {SLOW[package]} alone"
    if package in SLOW and not found.lazy:
        return "is slow: import it inside a function"
    return None


def is_own(module: str) -> bool:
    return module.partition(".")[0] == "rootlessnet"


def room(module: str) -> str:
    """`tcp` for `rootlessnet.tcp.sender`, `rootlessnet` for the package itself."""
    return module.removeprefix("rootlessnet.").partition(".")[0]
