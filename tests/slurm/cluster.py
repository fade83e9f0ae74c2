"""A Slurm cluster of one node on loopback: Debian's packages, started by hand, as one folder.

    python -m tests.slurm.cluster install      # slurm-wlm, munge, slurmdbd, MariaDB (root)
    python -m tests.slurm.cluster shell        # a shell in which sbatch, sacct … speak to it
    python -m tests.slurm.cluster stop         # what an earlier run that was killed has left

Own ports, sockets, keys and state in a temporary folder: nothing of the machine is read or
changed, and a Slurm that is there already is not touched. The daemons are children of this
process and end with it, killed or not. No cgroups, no systemd: processes are tracked by their
parents, memory is looked at each second (`OverMemoryKill`), and `sacct` is asked as on a real
cluster, by slurmdbd from MariaDB.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROGRAMS = {
    "slurmctld": "slurm-wlm", "slurmd": "slurm-wlm", "sacct": "slurm-wlm", "munged": "munge",
    "slurmdbd": "slurmdbd", "mariadbd": "mariadb-server", "mariadb-install-db": "mariadb-server",
}  # fmt: skip
MARK = "DARKROOM_SLURM"  # in the environment of every daemon and job: which cluster they are of
ACCOUNT, QOS = "vision", "normal"
PARTITIONS = ("cpu", "gpu", "short")
CPUS, MEMORY_MB = (
    32,
    64_000,
)  # what the node pretends to have: no job here waits for another's place
WAIT = 120.0

SLURM = """
ClusterName=darkroom
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={slurmctld}
SlurmdPort={slurmd}
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ReturnToService=2
MailProg=/bin/true
SwitchType=switch/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2,default_queue_depth=100
SchedulerType=sched/backfill
PriorityType=priority/basic
KillWait=1
OverTimeLimit=0
MinJobAge=300
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={slurmdbd}
AccountingStoragePass={root}/munge.socket
AccountingStorageEnforce=associations,limits,qos
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:2 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=2-00:00:00 DefaultTime=00:05:00 State=UP
PartitionName=gpu Nodes={host} MaxTime=1-00:00:00 DefaultTime=00:05:00 State=UP
PartitionName=short Nodes={host} MaxTime=00:15:00 DefaultTime=00:05:00 State=UP
"""

SLURMDBD = """
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={slurmdbd}
SlurmUser=root
PidFile={root}/slurmdbd.pid
LogFile={root}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
"""

# Cards that are none: what Slurm counts and hands out is a number of device files.
GRES = """
NodeName={host} Name=gpu File=/dev/null
NodeName={host} Name=gpu File=/dev/zero
"""


class Missing(RuntimeError):
    """What the test needs is not installed and cannot be; in words."""


def install() -> None:
    """Install what is missing of Debian's packages.

    Raises
    ------
    Missing
        Not on Debian or Ubuntu, not as root and without sudo, or apt-get failed.
    """
    wanted = sorted({package for name, package in PROGRAMS.items() if not _which(name)})
    if not wanted:
        return
    told = f"make slurm-test needs Debian's packages {', '.join(wanted)}"
    apt = shutil.which("apt-get")
    if apt is None:
        raise Missing(f"{told}, and there is no apt-get here: install them, and try again")
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if sudo and subprocess.run([*sudo, "true"], capture_output=True, check=False).returncode:
        raise Missing(f"{told}: run it as root, or with a sudo that asks for no password")
    print(f"Setting up: apt-get install {' '.join(wanted)}", flush=True)
    lock = ["-o", "DPkg::Lock::Timeout=600"]
    install = ["env", "DEBIAN_FRONTEND=noninteractive", apt, *lock, "install", "--yes", "--quiet"]
    install += ["--no-install-recommends", *wanted]
    with _no_services(sudo):
        done = _quietly([*sudo, *install])
        if done.returncode:  # an old or empty list of packages
            _quietly([*sudo, apt, *lock, "update", "--quiet"])
            done = _quietly([*sudo, *install])
    if done.returncode:
        raise Missing(f"{told}; apt-get could not install them:\n{done.stdout[-2000:]}")


@contextlib.contextmanager
def _no_services(sudo: list[str]) -> Iterator[None]:
    """Debian's packages start nothing of their own while they are installed."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    subprocess.run(
        [*sudo, "tee", str(policy)], input=b"#!/bin/sh\nexit 101\n", capture_output=True, check=True
    )
    try:
        subprocess.run([*sudo, "chmod", "755", str(policy)], check=True)
        yield
    finally:
        subprocess.run([*sudo, "rm", "-f", str(policy)], check=False)


def _quietly(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


# ---------------------------------------------------------------- the cluster


class Cluster:
    """A running cluster; `environment` is what its commands need."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host = socket.gethostname().split(".")[0]
        self.ports = dict(zip(("slurmctld", "slurmd", "slurmdbd"), _free_ports(3), strict=True))
        self.children: list[subprocess.Popen[bytes]] = []
        self.environment = {
            "SLURM_CONF": str(root / "slurm.conf"),
            "PATH": f"{root}/bin:{os.environ.get('PATH', '')}",
            "MYSQL_UNIX_PORT": str(root / "mysql.socket"),
            MARK: str(root),
        }

    def start(self) -> None:
        """Start all daemons, and wait until the node takes jobs.

        Raises
        ------
        RuntimeError
            A daemon ended or did not answer, with the end of its log.
        """
        self.root.chmod(0o755)
        self._write("owner", str(os.getpid()).encode())
        for name in ("state", "spool", "mysql", "bin"):
            (self.root / name).mkdir()
        self._write("munge.key", secrets.token_bytes(1024))
        words = {"root": self.root, "host": self.host, "cpus": CPUS, "memory": MEMORY_MB}
        self._write("slurm.conf", SLURM.format(**words, **self.ports).encode())
        self._write("slurmdbd.conf", SLURMDBD.format(**words, **self.ports).encode())
        self._write("gres.conf", GRES.format(host=self.host).encode())
        # The plugin of a job's step drops SLURM_CONF, which a cluster whose file is in /etc/slurm needs not.
        srun = f'#!/bin/sh\nSLURM_CONF={self.root}/slurm.conf exec {_which("srun")} "$@"\n'
        self._write("bin/srun", srun.encode())
        (self.root / "bin/srun").chmod(0o755)
        self._munge()
        self._database()
        self._daemon("slurmdbd", "-D")
        self._until("slurmdbd", lambda: self._asked("sacctmgr", "-n", "list", "cluster"))
        self._asked("sacctmgr", "-i", "add", "cluster", "darkroom")
        self._asked("sacctmgr", "-i", "add", "account", ACCOUNT, "Cluster=darkroom")
        user = "root" if os.geteuid() == 0 else os.environ.get("USER", "root")
        self._asked("sacctmgr", "-i", "add", "user", user, f"Account={ACCOUNT}")
        self._asked("sacctmgr", "-i", "modify", "user", user, "set", f"DefaultAccount={ACCOUNT}")
        self._daemon("slurmctld", "-D")
        self._until("slurmctld", lambda: self._asked("scontrol", "ping"))
        self._daemon("slurmd", "-D")
        self._until("slurmd", lambda: "idle" in self.said("sinfo", "-h", "-p", "cpu", "-o", "%t"))

    def said(self, *command: str) -> str:
        """Standard output of one of Slurm's commands."""
        done = self._run(command)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    def stop(self) -> None:
        """End jobs and daemons, and remove their folder."""
        with contextlib.suppress(OSError):
            self._run(("scancel", "--signal=KILL", "--user=root"))
        for child in reversed(self.children):
            child.terminate()
        deadline = time.monotonic() + 10
        for child in self.children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.1, deadline - time.monotonic()))
        _end_all(str(self.root))
        for child in self.children:
            child.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    def logs(self) -> str:
        """The last lines of every daemon's log."""
        logs = sorted(self.root.glob("*.log"))
        return "\n".join(f"== {log.name}\n{log.read_text()[-1500:]}" for log in logs)

    # -- parts

    def _write(self, name: str, content: bytes) -> None:
        path = self.root / name
        path.write_bytes(content)
        path.chmod(0o600 if name in ("munge.key", "slurmdbd.conf") else 0o644)

    def _munge(self) -> None:
        at = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed"}
        files = [f"--{option}={self.root}/munge.{name}" for option, name in at.items()]
        self._daemon(
            "munged", "--foreground", "--force", *files, f"--log-file={self.root}/munge.log"
        )
        self._until("munge", lambda: (self.root / "munge.socket").exists())

    def _database(self) -> None:
        data = f"--datadir={self.root}/mysql"
        user = "--user=root"
        made = _quietly(
            [_which("mariadb-install-db") or "", "--no-defaults", user, data,
             "--auth-root-authentication-method=normal", "--skip-test-db"]
        )  # fmt: skip
        if made.returncode:
            raise RuntimeError(f"mariadb-install-db failed:\n{made.stdout[-2000:]}")
        self._daemon(
            "mariadbd", "--no-defaults", user, data, "--skip-networking",
            f"--socket={self.root}/mysql.socket", f"--pid-file={self.root}/mysql.pid",
            f"--log-error={self.root}/mysql.log", "--innodb-buffer-pool-size=64M",
            "--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=0",
        )  # fmt: skip
        ping = ("mariadb-admin", "--no-defaults", f"--socket={self.root}/mysql.socket", "ping")
        self._until("mariadbd", lambda: self._asked(*ping))

    def _daemon(self, name: str, *arguments: str) -> None:
        with (self.root / f"{name}.out.log").open("wb") as out:
            self.children.append(
                subprocess.Popen(
                    [_which(name) or name, *arguments],
                    env=os.environ | self.environment,
                    stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                    start_new_session=True, preexec_fn=die_with_parent,
                )
            )  # fmt: skip

    def _run(self, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, check=False
        )

    def _asked(self, *command: str) -> bool:
        return self._run(command).returncode == 0

    def _until(self, what: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT
        while not ready():
            dead = [child for child in self.children if child.poll() is not None]
            if dead or time.monotonic() > deadline:
                how = "ended" if dead else "does not answer"
                raise RuntimeError(f"{what} {how}:\n{self.logs()}")
            time.sleep(0.2)


@contextlib.contextmanager
def running() -> Iterator[Cluster]:
    """A cluster for the time of the `with`; what an earlier killed run left is ended first."""
    end_leftovers()
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="darkroom-slurm-")))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def end_leftovers() -> int:
    """End the processes of clusters whose run is gone, remove their folders; how many there were."""
    count = 0
    for root in Path(tempfile.gettempdir()).glob("darkroom-slurm-*"):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((root / "owner").read_text()), 0)
            continue  # another's, which lives
        _end_all(str(root))
        shutil.rmtree(root, ignore_errors=True)
        count += 1
    return count


def _end_all(root: str) -> None:
    """Kill every process whose environment names a cluster's folder: daemons, steps, jobs."""
    mark = f"{MARK}={root}".encode()
    for _ in range(20):
        found = [pid for pid in _pids() if mark in _environment(pid)]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def _pids() -> list[int]:
    return [
        int(p.name)
        for p in Path("/proc").iterdir()
        if p.name.isdigit() and int(p.name) != os.getpid()
    ]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def die_with_parent() -> None:
    """A child of this process gets SIGKILL when it ends, however that happens."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def main(words: list[str]) -> int:
    """What the module is called with: install, shell or stop."""
    try:
        if words == ["install"]:
            install()
        elif words == ["stop"]:
            print(f"{end_leftovers()} clusters ended")
        elif words[:1] == ["shell"]:
            install()
            with running() as cluster:
                shell = words[1:] or [os.environ.get("SHELL", "/bin/bash")]
                return subprocess.run(
                    shell, env=os.environ | cluster.environment, check=False
                ).returncode
        else:
            print(__doc__)
            return 2
    except Missing as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
