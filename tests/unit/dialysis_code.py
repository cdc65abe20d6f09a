"""Loads the reference system's code by path: it is no part of the project, and releases share module names."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

DIALYSIS = Path(__file__).parents[2] / "lab" / "dialysis"


def script(name: str) -> ModuleType:
    """A file beside the releases, such as generate."""
    return load(f"dialysis_{name}", DIALYSIS / f"{name}.py")


def service(name: str, version: str = "2.0.0") -> ModuleType:
    """A module of a release's service; each release is a package of its own name here."""
    package = "dialysis_service_" + version.replace(".", "_")
    if package not in sys.modules:
        load(package, DIALYSIS / "releases" / version / "dialysis_service" / "__init__.py", package=True)
    return importlib.import_module(f"{package}.{name}")


def load(name: str, path: Path, *, package: bool = False) -> ModuleType:
    """Import a file under a name."""
    folders = [str(path.parent)] if package else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=folders)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
