"""Run a built stage as a hardened container would be: what `read_only`, `cap_drop: ALL`, `tmpfs` and a user ask for.

Own mount, network and IPC namespaces, a read-only root with a small tmpfs, no capabilities, no new privileges. Not
emulated: control groups, seccomp, a PID namespace. Needs root on Linux, util-linux and iproute2.
"""

import shlex
import signal
import subprocess
import time
from pathlib import Path

from tests.deploy.image import Stage

DEVICES = "null zero full random urandom"
START = """
set -e
mount --make-rprivate /
mount --bind {root} {root}
mount -t proc proc {root}/proc
mount -t tmpfs -o mode=1777,size=64m tmpfs {root}/tmp
mount -t tmpfs -o mode=0755 tmpfs {root}/dev
for device in {devices}; do : > {root}/dev/$device; mount --bind /dev/$device {root}/dev/$device; done
{mounts}
mount -o remount,bind,ro {root}
ip link set lo up
exec "$@"
"""


class Container:
    """One process in a stage's root. `mounts` maps a path inside to (folder outside, writable)."""

    def __init__(self, stage: Stage, mounts: dict[str, tuple[Path, bool]], env: dict[str, str], log: Path):
        self.stage, self.log = stage, log
        self.env = {**stage.env, "HOME": "/tmp", **env}
        lines = []
        for inside, (outside, writable) in mounts.items():
            goal = shlex.quote(f"{stage.root}{inside}")
            lines.append(f"mount --bind {shlex.quote(str(outside))} {goal}")
            lines += [] if writable else [f"mount -o remount,bind,ro {goal}"]
        script = START.format(root=shlex.quote(str(stage.root)), devices=DEVICES, mounts="\n".join(lines))
        command = ["unshare", "--mount", "--net", "--ipc", "--uts", "sh", "-c", script, "sh", "chroot", str(stage.root)]
        with log.open("wb") as output:  # every step execs the next one, so this PID becomes the service's
            self.process = subprocess.Popen(
                command + self.unprivileged(stage.command), stdout=output, stderr=subprocess.STDOUT
            )

    def unprivileged(self, command: list[str]) -> list[str]:
        """The command as the image's user, without capabilities, with the image's environment alone."""
        user, group = self.stage.user.split(":")
        drop = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"]
        drop += ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
        settings = [f"{key}={value}" for key, value in self.env.items()]
        return [*drop, "env", "-i", f"--chdir={self.stage.workdir}", *settings, *command]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """`docker exec`: a second process beside the first."""
        enter = ["nsenter", f"--target={self.process.pid}", "--mount", "--net", "--ipc", "--uts", "--root"]
        return subprocess.run([*enter, *self.unprivileged(list(command))], capture_output=True, text=True)

    def curl(self, path: str, *options: str) -> subprocess.CompletedProcess[str]:
        """curl from outside the root but inside its network, as a neighbour pod would call."""
        url = f"http://127.0.0.1:{self.env['EAR_TEACHER_PORT']}{path}"
        enter = ["nsenter", f"--target={self.process.pid}", "--net"]
        command = [*enter, "curl", "--silent", "--show-error", "--max-time", "30", *options, url]
        return subprocess.run(command, capture_output=True, text=True)

    def wait_until_healthy(self, timeout_s: float = 60.0) -> None:
        """Until the image's own HEALTHCHECK succeeds."""
        deadline = time.monotonic() + timeout_s
        while (probe := self.run(*self.stage.healthcheck)).returncode:
            assert self.process.poll() is None, f"the service ended:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"not healthy: {probe.stderr}\n{self.log.read_text()}"
            time.sleep(0.3)

    def stop(self, timeout_s: float = 30.0) -> int:
        """`docker stop`: SIGTERM, and the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
