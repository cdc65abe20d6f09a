"""What host_snapshot's action plugin sends before the packed modules: it unpacks them in memory, runs one function and
prints its answer, packed as well. Nothing is written on the host. To name a Python that is too old, this file has to run
on it: hence no annotations, and no imports that it may lack."""

import base64
import json
import os
import sys
import zlib

MARK = "snapshot-answer:"


class PackedModules:
    """Imports ansible.module_utils.NAME from the sources that came with the call, whatever the host has installed."""

    def __init__(self, sources, specification):
        self.sources = sources
        self.specification = specification

    def find_spec(self, name, _path=None, _target=None):
        """The import system's question whether this is ours."""
        package = name in ("ansible", "ansible.module_utils")
        if package or (name.startswith("ansible.module_utils.") and name.rpartition(".")[2] in self.sources):
            return self.specification(name, self, is_package=package)
        return None

    def create_module(self, spec):
        """None asks for a module as usual."""

    def exec_module(self, module):
        """Run the source of a module; a package has none."""
        name = module.__name__.rpartition(".")[2]
        if name in self.sources:
            exec(compile(self.sources[name], name + ".py", "exec"), module.__dict__)  # noqa: S102  (our own sources)


def answer(packed, function, parameters):
    """Call MODULE.FUNCTION(parameters) of the packed sources and print what it returns."""
    if sys.version_info < (3, 8):
        print(MARK + "old:" + sys.version.split()[0])
        return
    try:
        os.nice(5)  # what the host is there for goes first
    except OSError:
        pass
    from importlib import import_module
    from importlib.machinery import ModuleSpec

    sources = json.loads(zlib.decompress(base64.b64decode(packed)).decode())
    sys.meta_path.insert(0, PackedModules(sources, ModuleSpec))
    module, _dot, name = function.rpartition(".")
    result = getattr(import_module("ansible.module_utils." + module), name)(json.loads(parameters))
    print(MARK + "ok:" + base64.b64encode(zlib.compress(json.dumps(result).encode(), 3)).decode())
