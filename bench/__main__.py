"""make bench: python -m bench [here] [near] [far] [recording] [verification] [evidence] [baseline] [database]"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from bench import baseline, database, evidence, hosts, records
from bench.measure import Line

SECTIONS = ("here", "near", "far", "recording", "verification", "evidence", "baseline", "database")


def lines(wanted: list[str]) -> Iterator[Line]:
    """The asked sections; those on lab hosts share one lab."""
    if "here" in wanted:
        yield from hosts.here()
    if {"near", "far", "recording", "baseline"} & set(wanted):
        with hosts.hospital() as (lab, folder):
            if "near" in wanted:
                yield from hosts.near_and_many(lab, folder)
            if "far" in wanted:
                yield from hosts.far(lab, folder)
            if "recording" in wanted:
                yield from records.recording(lab)
            if "baseline" in wanted:
                yield from baseline.baseline(lab, folder)
    if "verification" in wanted:
        yield from records.verification()
    if "evidence" in wanted:
        yield from evidence.evidence()
    if "database" in wanted:
        yield from database.database()


def main(arguments: list[str]) -> int:
    """Print each line as soon as it is measured."""
    wanted = arguments or list(SECTIONS)
    unknown = sorted(set(wanted) - set(SECTIONS))
    if unknown:
        print(f"bench: there is no section '{unknown[0]}'; there are: {', '.join(SECTIONS)}", file=sys.stderr)
        return 2
    print(
        f"medians of one run on {os.cpu_count()} cores; ours, ratio, what it is compared with, aim",
        flush=True,
    )
    for line in lines(wanted):
        print(line.text(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
