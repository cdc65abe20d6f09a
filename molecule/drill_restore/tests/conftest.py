"""The reference system's database and its repository, as a site that has its backup."""

from __future__ import annotations

import ansible.module_utils
import pytest

from lab.plan import REPOSITORY, Lab
from lab.site import folder as site_folder

# Where the modules find what they share, as Ansible itself arranges it.
ansible.module_utils.__path__.append(str(REPOSITORY / "module_utils"))


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab.from_environment()


@pytest.fixture(scope="session")
def site(lab: Lab) -> str:
    return site_folder(lab).name
