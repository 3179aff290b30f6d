"""A throwaway Slurm cluster: one machine, three nodes, one folder, ended by its own pid files."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

GPU_NODES, CPU_NODE = ("n1", "n2"), "c1"
GPU_PARTITION, CPU_PARTITION = "gpu", "cpu"
ACCOUNT = "medicine"  # exists where there is a job database
DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
ACCOUNTING_DAEMONS = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb")
PATIENCE = 120.0  # seconds; only ever waited for in full by a cluster that does not come up


class ClusterError(Exception):
    """The cluster did not do what was asked of it."""


def missing(accounting: bool = False) -> str | None:
    """Why no cluster can be started here, or None."""
    if os.geteuid() != 0:
        return "a Slurm cluster needs root (its daemons start jobs as other users)"
    names = DAEMONS + (ACCOUNTING_DAEMONS if accounting else ())
    absent = [name for name in names if _program(name) is None]
    return f"not installed: {', '.join(absent)} (tests/slurm/install.sh installs them)" if absent else None


def wait_until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Ask `condition` until it is true.

    Raises:
        ClusterError: if it has not become true after `seconds`.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise ClusterError(f"waited {seconds:.0f} s for: {what}")
        time.sleep(0.2)


@dataclass
class Cluster:
    """Two nodes with a counted A100 each and one without, which is the default partition."""

    folder: Path
    accounting: bool

    def __post_init__(self) -> None:
        self._ports = dict(zip(("ctld", "dbd", "db", *GPU_NODES, CPU_NODE), _free_ports(6), strict=True))
        self.conf = self.folder / "slurm.conf"
        self.socket = self.folder / "munge" / "munge.socket"
        self.bin = self.folder / "bin"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a user of this cluster."""
        return {
            **os.environ,
            "SLURM_CONF": str(self.conf),
            "PATH": os.pathsep.join([str(self.bin), os.environ["PATH"], "/usr/sbin"]),
        }

    def start(self) -> None:
        """Start all daemons and wait until all nodes are idle.

        Raises:
            ClusterError: if one does not come up; what was started is ended.
        """
        with ExitStack() as undo:
            undo.callback(self.stop)
            self._write_programs()
            self._start_munge()
            if self.accounting:
                self._start_database()
            self._write_configuration()
            for node in (*GPU_NODES, CPU_NODE):
                for name in ("spool", "log"):
                    (self.folder / name / node).mkdir(parents=True)
            self._start_controller()
            for node in (*GPU_NODES, CPU_NODE):
                self._run("slurmd", "-f", str(self.conf), "-N", node)
            wait_until(lambda: set(self.node_states().values()) == {"idle"}, "nodes to be idle")
            undo.pop_all()

    def _start_controller(self) -> None:
        self._run("slurmctld", "-f", str(self.conf))
        wait_until(lambda: self.run("scontrol", "ping", check=False).returncode == 0, "slurmctld")

    def start_job_database(self) -> None:
        """Start the daemon behind sacct, on the database that is there."""
        self._run("slurmdbd")
        wait_until(lambda: self.run("sacctmgr", "show", "cluster", check=False).returncode == 0, "slurmdbd")

    def stop_job_database(self) -> None:
        """An outage of sacct. Jobs start, run and end as before."""
        self._end(self.folder / "slurmdbd.pid")

    def stop(self) -> None:
        """End every daemon that was started, jobs first."""
        if (self.folder / "slurmctld.pid").exists():
            self.run("scancel", "--user=root", check=False)
            with suppress(ClusterError):  # the daemons are ended all the same
                wait_until(lambda: not self.run("squeue", "-h", check=False).stdout, "jobs to end", 20)
        names = [*(f"slurmd-{node}.pid" for node in (*GPU_NODES, CPU_NODE)), "slurmctld.pid", "slurmdbd.pid"]
        for name in [*names, "mariadb.pid", "munge/munge.pid"]:
            self._end(self.folder / name)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command as a user of this cluster."""
        result = subprocess.run(command, env=self.environment, text=True, capture_output=True, check=False)
        if check and result.returncode:
            raise ClusterError(f"{' '.join(command)}: {result.stdout}{result.stderr}")
        return result

    def node_states(self) -> dict[str, str]:
        """Node -> state, e.g. ``{"n1": "idle"}``."""
        lines = self.run("sinfo", "-h", "-N", "-o", "%N %t", check=False).stdout.split("\n")
        return dict(line.split() for line in lines if line)

    def set_node(self, node: str, state: str) -> None:
        """Set a node ``down`` (its jobs end or are requeued) or let it ``resume``."""
        self.run("scontrol", "update", f"NodeName={node}", f"State={state}", "Reason=test")

    def jobs(self) -> dict[str, dict[str, str]]:
        """Slurm's records of all jobs that it still knows: job id -> field -> value."""
        lines = self.run("scontrol", "--oneliner", "show", "jobs").stdout.splitlines()
        records = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]
        return {record["JobId"]: record for record in records if "JobId" in record}

    def history(self) -> list[dict[str, str]]:
        """The job database's records of all jobs: one more for each time that a job was requeued."""
        fields = ("JobID", "State", "Start", "End", "NodeList", "AllocTRES", "Comment")
        options = ("--allocations", "--duplicates", "--noheader", "--parsable2", "--starttime=now-1day")
        lines = self.run("sacct", *options, f"--format={','.join(fields)}").stdout.splitlines()
        return [dict(zip(fields, line.split("|"), strict=True)) for line in lines]

    def logs(self) -> str:
        """The ends of the daemons' logs, for the message of a failed assertion."""
        files = [*self.folder.glob("*.log"), *self.folder.glob("log/*/*.log")]
        return "".join(f"\n--- {f}\n{f.read_text(errors='replace')[-3000:]}" for f in files)

    def _run(self, daemon: str, *arguments: str) -> None:
        program = _program(daemon)
        if program is None:
            raise ClusterError(f"{daemon} is not installed")
        result = subprocess.run(
            [program, *arguments], env=self.environment, text=True, capture_output=True, check=False
        )
        if result.returncode:
            raise ClusterError(f"{daemon}: {result.stdout}{result.stderr}{self.logs()}")

    def _end(self, pid_file: Path) -> None:
        """End the process that wrote `pid_file`, if it still runs."""
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text().strip())
        for number, seconds in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0)):
            try:
                os.kill(pid, number)
                wait_until(lambda: not _alive(pid), f"process {pid} to end", seconds)
            except ProcessLookupError:
                break
            except ClusterError:
                continue
            break
        pid_file.unlink(missing_ok=True)

    def _write_programs(self) -> None:
        """The executor drops SLURM_CONF before it calls srun in a job: real clusters do not need it."""
        self.bin.mkdir(parents=True)
        srun = self.bin / "srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.conf} exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)

    def _start_munge(self) -> None:
        folder = self.socket.parent
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(stat.S_IRUSR)
        self._run(
            "munged",
            "--force",  # the folder above may be open to the group
            f"--key-file={key}",
            f"--socket={self.socket}",
            f"--pid-file={folder / 'munge.pid'}",
            f"--log-file={folder / 'munge.log'}",
            f"--seed-file={folder / 'munge.seed'}",
        )

    def _start_database(self) -> None:
        data, end = self.folder / "mariadb", self.folder / "mariadb.socket"
        self._run(
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={data}",
            "--user=root",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        )
        subprocess.Popen(
            [
                _program("mariadbd") or "mariadbd",
                "--no-defaults",
                f"--datadir={data}",
                f"--socket={end}",
                f"--pid-file={self.folder / 'mariadb.pid'}",
                f"--log-error={self.folder / 'mariadb.log'}",
                f"--port={self._ports['db']}",
                "--bind-address=127.0.0.1",
                "--user=root",
                "--innodb-buffer-pool-size=32M",
                "--innodb-log-file-size=16M",
                "--innodb-lock-wait-timeout=900",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        client = ("mariadb", "--no-defaults", f"--socket={end}", "-e")
        wait_until(lambda: self.run(*client, "select 1", check=False).returncode == 0, "mariadbd")
        password = secrets.token_hex(16)
        self.run(*client, f"grant all on slurm.* to slurm@'127.0.0.1' identified by '{password}'")
        conf = self.folder / "slurmdbd.conf"
        conf.touch(mode=0o600)
        conf.write_text(f"""\
AuthType=auth/munge
AuthInfo=socket={self.socket}
DbdHost=localhost
DbdPort={self._ports["dbd"]}
SlurmUser=root
PidFile={self.folder}/slurmdbd.pid
LogFile={self.folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={self._ports["db"]}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm
""")
        self._write_configuration()
        self.start_job_database()
        self.run("sacctmgr", "-i", "add", "cluster", "throwaway")
        self.run("sacctmgr", "-i", "add", "account", ACCOUNT)
        self.run("sacctmgr", "-i", "add", "user", "root", f"account={ACCOUNT}")

    def _write_configuration(self) -> None:
        host = socket.gethostname().split(".")[0]
        folder, ports = self.folder, self._ports
        storage = "none"
        if self.accounting:
            storage = f"slurmdbd\nAccountingStorageHost=localhost\nAccountingStoragePort={ports['dbd']}"
            # With munge this names its socket.
            storage += f"\nAccountingStoragePass={self.socket}\nAccountingStoreFlags=job_comment"
        node = f"CPUs=8 RealMemory=100000 NodeHostname={host} NodeAddr=127.0.0.1 State=UNKNOWN"
        gpu_nodes = "\n".join(f"NodeName={n} Port={ports[n]} Gres=gpu:a100:1 {node}" for n in GPU_NODES)
        self.conf.write_text(f"""\
ClusterName=throwaway
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports["ctld"]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={self.socket},cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/log/%n/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=1,sched_min_interval=500000
GresTypes=gpu
JobAcctGatherType=jobacct_gather/none
KillWait=5
MinJobAge=7200
MessageTimeout=20
AccountingStorageType=accounting_storage/{storage}
{gpu_nodes}
NodeName={CPU_NODE} Port={ports[CPU_NODE]} {node}
PartitionName={GPU_PARTITION} Nodes={",".join(GPU_NODES)} MaxTime=INFINITE State=UP
PartitionName={CPU_PARTITION} Nodes={CPU_NODE} Default=YES MaxTime=INFINITE State=UP
""")
        gres = [f"NodeName={name} Name=gpu Type=a100 File=/dev/zero\n" for name in GPU_NODES]
        (folder / "gres.conf").write_text("AutoDetect=off\n" + "".join(gres))
        (folder / "state").mkdir(exist_ok=True)


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def _alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _free_ports(number: int) -> Iterable[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(closing(socket.socket())) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def main() -> int:
    """Run a command (by default a shell) as a user of a throwaway cluster, to try things out."""
    accounting = missing(accounting=True) is None
    reason = None if accounting else missing()
    if reason:
        sys.exit(reason)
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        cluster = Cluster(Path(folder), accounting)
        cluster.start()
        try:
            variables = {**cluster.environment, "MEDDIFF_SLURM_GPU_PARTITION": GPU_PARTITION}
            command = sys.argv[1:] or [os.environ.get("SHELL", "bash")]
            return subprocess.run(command, env=variables, check=False).returncode
        finally:
            cluster.stop()


if __name__ == "__main__":
    sys.exit(main())
