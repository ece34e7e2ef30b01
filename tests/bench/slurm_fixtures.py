"""A real Slurm of one node, on this machine: munged, slurmctld and slurmd, until the test has ended.

Needs root and the Debian packages slurm-wlm and munge.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
CONFIGURATION = """
ClusterName=serbench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
KillWait=5
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why no Slurm can be started here; "" where one can."""
    absent = [name for name in DAEMONS if shutil.which(name, path=_path()) is None]
    if absent:
        return f"no {', '.join(absent)}: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "Slurm's daemons need root"


@contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """Within, `sbatch` and its like speak to a Slurm whose files are in `folder`; its name must be short."""
    _configure(folder)
    before = {name: os.environ.get(name) for name in ("SLURM_CONF", "PATH")}
    os.environ |= {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}
    try:
        with ExitStack() as running:
            munge = ("--key-file", folder / "munge.key", "--socket", folder / "munge.socket")
            files = {
                name: folder / f"munged.{name.split('-')[0]}"
                for name in ("pid-file", "log-file", "seed-file")
            }
            rest = [f"--{name}={path}" for name, path in files.items()]
            running.enter_context(_daemon(folder, "munged", "--foreground", "--force", *munge, *rest))
            until((folder / "munge.socket").exists)
            running.enter_context(_daemon(folder, "slurmctld", "-D"))
            running.enter_context(_daemon(folder, "slurmd", "-D"))
            until(lambda: said("sinfo", "--noheader", "--format=%T") == "idle")
            yield
            subprocess.run(["scancel", "--me"], check=False)
            until(lambda: not said("squeue", "--noheader"))
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def said(*command: str) -> str:
    """What a command prints; "" where it fails."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def until(done: Callable[[], object], seconds: float = 300) -> None:
    """Wait; AssertionError where it takes too long."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not after {seconds} s"
        time.sleep(0.2)


def _path() -> str:
    return f"{os.environ['PATH']}{os.pathsep}/usr/sbin"


def _configure(folder: Path) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    controller, node = _free_port(), _free_port()
    host = socket.gethostname().partition(".")[0]
    for number in range(2):
        (folder / f"gpu{number}").touch()
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu[0-1]\n")
    (folder / "slurm.conf").write_text(
        CONFIGURATION.format(folder=folder, host=host, controller=controller, node=node)
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _daemon(folder: Path, name: str, *arguments: object) -> Iterator[None]:
    with (folder / f"{name}.out").open("wb") as log:
        process = subprocess.Popen([name, *map(str, arguments)], stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)
