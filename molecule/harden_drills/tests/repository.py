"""A repository of small packages on a lab host, which has no way to another: built there, by the host's own dpkg."""

from __future__ import annotations

import shlex
from collections.abc import Callable

# Builds a flat repository from lines `name version depends flags` and asks apt for its lists. Flags: service (a unit,
# started and enabled as Debian's helpers do it), slow (its configuration takes ten minutes), broken (it fails).
_SCRIPT = r"""
folder=/srv/drill-repository; mkdir -p "$folder"
while read -r name version depends flags; do
  tree=$(mktemp -d)
  mkdir -p "$tree/DEBIAN" "$tree/usr/share/$name" "$tree/etc/$name"
  echo "$version" > "$tree/usr/share/$name/version"
  echo "setting = $version" > "$tree/etc/$name/settings.conf"
  echo "/etc/$name/settings.conf" > "$tree/DEBIAN/conffiles"
  { echo "Package: $name"; echo "Version: $version"; echo "Architecture: all"; echo "Maintainer: Drill"
    [ "$depends" = - ] || echo "Depends: $depends"
    echo "Description: drill"; } > "$tree/DEBIAN/control"
  { echo '#!/bin/sh'; echo 'set -e'; echo 'test "$1" = configure || exit 0'; } > "$tree/DEBIAN/postinst"
  case $flags in *slow*)
    echo 'sleep 600' >> "$tree/DEBIAN/postinst";; esac
  case $flags in *broken*) echo 'exit 1' >> "$tree/DEBIAN/postinst";; esac
  case $flags in *service*)
    mkdir -p "$tree/lib/systemd/system"
    printf '[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' \
      > "$tree/lib/systemd/system/$name.service"
    echo "deb-systemd-helper enable $name.service >/dev/null" >> "$tree/DEBIAN/postinst"
    echo "systemctl daemon-reload; verb=start; test -z \"\$2\" || verb=restart" >> "$tree/DEBIAN/postinst"
    echo "deb-systemd-invoke \$verb $name.service >/dev/null" >> "$tree/DEBIAN/postinst"
    printf '#!/bin/sh\ntest "$1" != remove || deb-systemd-invoke stop %s.service\n' "$name" > "$tree/DEBIAN/prerm"
    { echo '#!/bin/sh'; echo 'test "$1" != purge || deb-systemd-helper purge '"$name.service >/dev/null"
      echo 'systemctl daemon-reload'; } > "$tree/DEBIAN/postrm"
    chmod 0755 "$tree/DEBIAN/prerm" "$tree/DEBIAN/postrm";; esac
  chmod 0755 "$tree" "$tree/DEBIAN/postinst"
  dpkg-deb --build --root-owner-group "$tree" "$folder/${name}_${version}_all.deb" >/dev/null
  rm -r "$tree"
done <<'END'
@PACKAGES@
END
cd "$folder"
for file in *.deb; do
  dpkg-deb --field "$file"
  printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$file" "$(stat -c %s "$file")" "$(sha256sum "$file" | cut -d' ' -f1)"
done > Packages
echo 'deb [trusted=yes] file:/srv/drill-repository ./' > /etc/apt/sources.list.d/drill.list
apt-get -qq update -o Dir::Etc::sourcelist=/etc/apt/sources.list.d/drill.list -o Dir::Etc::sourceparts=-
"""


def offer(root: Callable[[str, str], str], host: str, packages: str) -> None:
    """Make these packages available on the host, in the place of those before."""
    root(host, "rm -rf /srv/drill-repository; " + _SCRIPT.replace("@PACKAGES@", packages.strip()))


def withdraw(root: Callable[[str, str], str], host: str) -> None:
    """No repository, no lists, and nothing that was kept of it."""
    root(
        host,
        "rm -rf /srv/drill-repository /etc/apt/sources.list.d/drill.list /var/lib/apt/lists/*drill*",
    )


def install(root: Callable[[str, str], str], host: str, *packages: str) -> None:
    """As an administrator would."""
    root(host, f"DEBIAN_FRONTEND=noninteractive apt-get -qq -y install {shlex.join(packages)} >/dev/null")
