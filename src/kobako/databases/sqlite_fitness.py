"""Where SQLite is not safe, and Kobako refuses to serve: versions with known corruption, files on a network.

Versions before 3.51.3 can corrupt a file in WAL mode when a commit runs during another connection's checkpoint;
3.50.7 and 3.44.6 have the correction too. WAL needs memory shared by all who open the file: one machine.

Source: reliability, 4.5 and O10.
"""

import re
from pathlib import Path

import apsw

from kobako.databases.base import UnfitDatabase

FIRST_SAFE = (3, 51, 3)
SAFE_BRANCHES = {(3, 50): 7, (3, 44): 6}

NETWORK = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "davfs",
        "gfs2",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "smb3",
        "smbfs",
        "fuse.ceph",
        "fuse.davfs2",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.juicefs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
    ]
)


def check_version(version: str) -> None:
    """Raise UnfitDatabase for a version of SQLite that can corrupt the file.

    >>> check_version("3.50.7"), check_version("3.51.3")
    (None, None)
    """
    major, minor, patch = (int(each) for each in version.split(".")[:3])
    corrected_in = SAFE_BRANCHES.get((major, minor))
    if (major, minor, patch) < FIRST_SAFE and (corrected_in is None or patch < corrected_in):
        raise UnfitDatabase(f"SQLite {version} can corrupt a database in WAL mode: 3.51.3 or later is needed")


def check_file_system(path: Path, mountinfo: str) -> None:
    """Raise UnfitDatabase when a file is on a network; `mountinfo` is the text of /proc/self/mountinfo."""
    kind = file_system(path, mountinfo)
    if kind in NETWORK:
        raise UnfitDatabase(f"{path} is on a network file system ({kind}), where SQLite's WAL mode is not safe")


def file_system(path: Path, mountinfo: str) -> str | None:
    """Return the type of the file system a path is on: that of the longest mount point above it.

    >>> file_system(Path("/srv/data/x.db"), "21 1 0:1 / / rw - ext4 /dev/a rw\\n22 21 0:2 / /srv rw - nfs4 h:/ rw")
    'nfs4'
    """
    found: tuple[int, str | None] = (-1, None)
    for line in mountinfo.splitlines():
        mount, _, source = line.partition(" - ")
        point = Path(_unescaped(mount.split(" ")[4]))
        # Of several mounts on one point the last is seen.
        if path.is_relative_to(point) and len(point.parts) >= found[0]:
            found = (len(point.parts), source.split(" ")[0])
    return found[1]


def check(path: Path) -> None:
    """Raise UnfitDatabase unless a database may be kept at this path, with this SQLite."""
    check_version(apsw.sqlite_lib_version())
    if not path.parent.is_dir():
        raise UnfitDatabase(f"{path}: there is no folder {path.parent}")
    mounts = Path("/proc/self/mountinfo")
    if mounts.exists():
        check_file_system(path.resolve(), mounts.read_text())


def _unescaped(point: str) -> str:
    # Spaces, tabs, line ends and backslashes are written in octal.
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
