"""Carry out a Dockerfile without an engine: its own RUN and COPY steps, in a folder that is a Debian root.

Stages, ARG and ENV expansion, .dockerignore (by Docker's own Python client), COPY --from, RUN through chroot in its own
mount namespace. Not emulated: layers, caches, digests, networks. What it does not know it refuses. Needs root on Linux.
"""

import json
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from docker.utils.build import exclude_paths
from dockerfile_parse import DockerfileParser

IGNORED = {"COMMENT", "LABEL", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}  # settings, read by Image
BARE_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}


@dataclass
class Stage:
    """A stage of the Dockerfile: where its root lies, of which layers (lowest first), and what it has set so far."""

    root: Path
    layers: list[Path]
    env: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0:0"

    @property
    def command(self) -> list[str]:
        """What a container of this image runs."""
        return json.loads(self.settings["ENTRYPOINT"]) + json.loads(self.settings["CMD"])

    @property
    def healthcheck(self) -> list[str]:
        """The command of HEALTHCHECK, in its exec form."""
        return json.loads(self.settings["HEALTHCHECK"].partition("CMD ")[2])


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """(instruction, value) in order, comments left out."""
    parsed = DockerfileParser(str(dockerfile), env_replace=False).structure
    return [(step["instruction"], step["value"]) for step in parsed if step["instruction"] != "COMMENT"]


def stages(dockerfile: Path) -> dict[str, list[tuple[str, str]]]:
    """Stage name -> its instructions, FROM first. What precedes the first FROM is under ''."""
    found: dict[str, list[tuple[str, str]]] = {"": []}
    for instruction, value in instructions(dockerfile):
        if instruction == "FROM":
            name = value.split(" AS ")[1]
            found[name] = []
        found[name if len(found) > 1 else ""].append((instruction, value))
    return found


def pairs(value: str) -> dict[str, str]:
    """`A=1 B="two words"` -> {"A": "1", "B": "two words"}; a name without `=` has no default."""
    parts = [word.partition("=") for word in shlex.split(value)]
    return {name: default for name, _, default in parts}


class Builder:
    """Builds stages of one Dockerfile on top of a ready root that stands for the base image."""

    def __init__(self, context: Path, base: Path, work: Path, args: dict[str, str], run_env: dict[str, str]):
        self.context, self.base, self.work, self.args, self.run_env = context, base, work, args, run_env
        self.steps = stages(context / "Dockerfile")
        self.globals = {k: args.get(k, v) for _, value in self.steps[""] for k, v in pairs(value).items()}
        self.built: dict[str, Stage] = {}
        lines = (context / ".dockerignore").read_text().splitlines()
        rules = [line for line in lines if line.strip() and not line.startswith("#")]
        self.allowed = {path for path in exclude_paths(str(context), rules) if (context / path).is_file()}

    def build(self, name: str) -> Stage:
        """The stage, with every stage it needs, each built once."""
        if name not in self.built:
            (_, value), *rest = self.steps[name]
            stage = self.start(name, value.split(" AS ")[0])
            args: dict[str, str] = {}
            for instruction, text in rest:
                self.carry_out(stage, args, instruction, text)
            self.built[name] = stage
        return self.built[name]

    def start(self, name: str, parent: str) -> Stage:
        """A fresh layer over the parent's, the base image's or another stage's, laid by overlayfs as an engine does."""
        root, layer, scratch = (self.work / name / part for part in ("root", "layer", "scratch"))
        for folder in (root, layer, scratch):
            folder.mkdir(parents=True)
        if parent in self.steps:
            under = self.build(parent)
            stage = Stage(root, [*under.layers, layer], {**under.env}, {**under.settings}, under.workdir, under.user)
        else:
            assert parent == "${PYTHON_IMAGE}", f"no base image stands for {parent}"
            stage = Stage(root, [self.base, layer], {**BARE_ENV})
        lower = ":".join(str(path) for path in reversed(stage.layers[:-1]))
        options = f"lowerdir={lower},upperdir={layer},workdir={scratch}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, root], check=True)
        return stage

    def close(self) -> None:
        """Unmount what was built."""
        for root in self.work.glob("*/root"):
            subprocess.run(["umount", "--lazy", root], check=False)

    def carry_out(self, stage: Stage, args: dict[str, str], instruction: str, text: str) -> None:
        """One instruction."""
        known = {**self.globals, **args, **stage.env}
        value = Template(text).safe_substitute(known)
        if instruction == "ARG":
            args.update({k: self.args.get(k, v) for k, v in pairs(value).items()})
        elif instruction == "ENV":
            stage.env.update(pairs(value))
        elif instruction == "WORKDIR":
            stage.workdir = value
            (stage.root / value.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif instruction == "USER":
            stage.user = value
        elif instruction == "COPY":
            self.copy(stage, shlex.split(value))
        elif instruction == "RUN":
            self.run(stage, args, text)
        elif instruction in IGNORED:
            stage.settings[instruction] = value
        else:
            raise NotImplementedError(f"{instruction} is not carried out here")

    def copy(self, stage: Stage, words: list[str]) -> None:
        """COPY sources... target, from the context (what .dockerignore lets through) or from another stage."""
        flags = [word for word in words if word.startswith("--")]
        *sources, target = [word for word in words if not word.startswith("--")]
        assert all(flag.startswith("--from=") for flag in flags), f"COPY with {flags} is not carried out here"
        goal = stage.root / (target if target.startswith("/") else f"{stage.workdir}/{target}").lstrip("/")
        origin = self.build(flags[0].removeprefix("--from=")).root if flags else self.context
        for source in sources:
            found = origin / source.strip("/")
            names = None if flags else {path for path in self.allowed if (self.context / path).is_relative_to(found)}
            assert found.exists(), f"COPY {source}: no such file"
            assert flags or names, f"COPY {source}: .dockerignore keeps it out of the build context"
            copy_tree(found, goal, None if names is None else {self.context / name for name in names})

    def run(self, stage: Stage, args: dict[str, str], script: str) -> None:
        """RUN script, as the stage's user, in the stage's root."""
        env = {**args, **stage.env, **self.run_env}
        inner = f"cd {shlex.quote(stage.workdir)} && {script}"
        mounts = f"mount -t proc proc {stage.root}/proc && mount --rbind /dev {stage.root}/dev"
        command = ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh"]
        command += ["chroot", f"--userspec={stage.user}", str(stage.root), "/usr/bin/env", "-i"]
        command += [f"{key}={value}" for key, value in env.items()] + ["/bin/sh", "-c", inner]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, f"RUN {script}\nended with {done.returncode}:\n{done.stdout[-4000:]}"


def copy_tree(source: Path, goal: Path, only: set[Path] | None) -> None:
    """A file into a folder, or a folder's contents into a folder, as COPY with a trailing slash does."""
    goal.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        shutil.copy2(source, goal / source.name)
    elif only is None:
        subprocess.run(["cp", "--archive", f"{source}/.", goal], check=True)
    else:
        for path in sorted(only):
            (goal / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, goal / path.relative_to(source))
