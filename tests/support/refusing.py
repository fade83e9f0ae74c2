"""File systems that refuse: small or read-only ones, and a kernel that gives no locks.

A mount stands in a name space of its own, so it is gone with the process; locks are refused
by a seccomp filter, which a process hands on to all that it starts. Neither needs root where
the system lets users have name spaces.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import subprocess
from functools import cache

import pytest

from tests.support.waiting import PATIENCE

UNSHARE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
FLOCK = {"x86_64": 73, "aarch64": 32}
FCNTL = {"x86_64": 72, "aarch64": 25}
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


@cache
def why_no_mounts() -> str:
    """Empty where a tmpfs may be mounted, else what forbids it."""
    script = (
        "d=$(mktemp -d) && mount -t tmpfs -o size=1m tmpfs $d && umount $d; s=$?; rmdir $d; exit $s"
    )
    try:
        done = subprocess.run(
            [*UNSHARE, "sh", "-c", script], capture_output=True, text=True, timeout=PATIENCE
        )
    except FileNotFoundError as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip() or f"status {done.returncode}"


def needs_mounts() -> None:
    """Skip a test where no file system may be mounted."""
    if why_no_mounts():
        pytest.skip(f"no file system may be mounted here: {why_no_mounts()}")


def refuse_locks() -> None:
    """Make the kernel answer each lock of this process, and of those it starts, with ENOLCK.

    Raises
    ------
    OSError
        The system has no seccomp filters.
    """
    machine = platform.machine()
    load, equal, answer = 0x20, 0x15, 0x06
    refuse, allow = 0x00050000 | errno.ENOLCK, 0x7FFF0000
    # F_SETLK, F_SETLKW and their forms by open file
    commands = (6, 7, 37, 38)
    steps = [
        (load, 0, 0, 4),  # seccomp_data.arch
        (equal, 0, 4 + len(commands), ARCH[machine]),
        (load, 0, 0, 0),  # .nr
        (equal, 3 + len(commands), 0, FLOCK[machine]),
        (equal, 0, 1 + len(commands), FCNTL[machine]),
        (load, 0, 0, 24),  # .args[1], low half
        *((equal, len(commands) - i, 0, c) for i, c in enumerate(commands)),
        (answer, 0, 0, allow),
        (answer, 0, 0, refuse),
    ]
    program = b"".join(struct.pack("HBBI", *step) for step in steps)
    held = ctypes.create_string_buffer(program)

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    libc = ctypes.CDLL(None, use_errno=True)
    given = Filter(len(steps), ctypes.addressof(held))
    # PR_SET_NO_NEW_PRIVS, then PR_SET_SECCOMP with SECCOMP_MODE_FILTER
    for arguments in ((38, 1, 0, 0, 0), (22, 2, ctypes.byref(given), 0, 0)):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "no seccomp filter")
