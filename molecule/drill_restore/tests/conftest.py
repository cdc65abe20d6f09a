"""The reference system's database and its repository, as a site that has its backup."""

from __future__ import annotations

import ansible.module_utils

from lab.plan import REPOSITORY
from lab.scenario import lab, site

__all__ = ["lab", "site"]

# Where the modules find what they share, as Ansible itself arranges it.
ansible.module_utils.__path__.append(str(REPOSITORY / "module_utils"))
