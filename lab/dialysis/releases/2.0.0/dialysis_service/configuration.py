"""Read /etc/dialysis/dialysis.conf. Pure but for reading the file."""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_PATH = Path("/etc/dialysis/dialysis.conf")


class ConfigurationError(Exception):
    """What is wrong with the file, in one line."""


@dataclass(frozen=True)
class Configuration:
    """What the service must know; the password never shows in a representation of it."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)
    sslmode: str
    log_file: str

    def connection(self) -> dict[str, str | int]:
        """The arguments of psycopg2.connect; keep-alives notice a database host that lost its power."""
        return {
            "host": self.host,
            "port": self.port,
            "dbname": self.name,
            "user": self.user,
            "password": self.password,
            "sslmode": self.sslmode,
            "connect_timeout": 3,
            "application_name": "dialysis",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 10000,
        }


def load(environment: Mapping[str, str] = os.environ) -> Configuration:
    """Read the file that DIALYSIS_CONF names, or the usual one."""
    path = Path(environment.get("DIALYSIS_CONF", DEFAULT_PATH))
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, ConfigurationError) as error:
        raise ConfigurationError(f"{path}: {error}") from None


def parse(text: str) -> Configuration:
    """Turn the text of the file into a configuration."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
        database = parser["database"]
        return Configuration(
            host=database["host"],
            port=database.getint("port", 5432),
            name=database.get("name", "dialysis"),
            user=database["user"],
            password=database["password"],
            sslmode=database.get("sslmode", "require"),
            log_file=parser.get("service", "log_file", fallback=""),
        )
    except KeyError as error:
        raise ConfigurationError(f"{error.args[0]} is missing") from None
    except (configparser.Error, ValueError) as error:
        # The parser's message quotes the line, which may be the one with the password.
        raise ConfigurationError(f"not valid ({type(error).__name__})") from None
