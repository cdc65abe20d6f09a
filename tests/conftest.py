"""What every test needs."""

from __future__ import annotations

from pathlib import Path

import ansible.module_utils

# Modules import their shared code as ansible.module_utils.NAME; outside a host it lies here.
ansible.module_utils.__path__.append(str(Path(__file__).parent.parent / "module_utils"))
