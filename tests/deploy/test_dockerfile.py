"""What can be told of the image from its files: the rules of hadolint, and the promises that no linter knows."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from deploy.requirements import requirements
from tests.deploy.image import Builder, instructions, pairs, stages

ROOT = Path(__file__).parents[2]
HADOLINT = Path(sys.executable).with_name("hadolint")


def settings_named(text):
    return {name.lower() for name in re.findall(r"\bEAR_TEACHER_([A-Z0-9_]+)", text)} - {"commit"}


def test_hadolint_finds_nothing():
    done = subprocess.run([HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_would_find_something(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN sudo apt-get install curl\n")
    assert subprocess.run([HADOLINT, tmp_path / "Dockerfile"], capture_output=True).returncode == 1


def test_both_targets_are_there_and_cpu_is_the_default():
    names = list(stages(ROOT / "Dockerfile"))
    assert {"cpu", "gpu"} <= set(names)
    assert names[-1] == "cpu"


def test_the_service_stage_is_neither_root_nor_in_need_of_curl():
    settings = dict(stages(ROOT / "Dockerfile")["service"])
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", settings["USER"]), "a numeric user, so that runAsNonRoot can tell"
    assert "curl" not in settings["HEALTHCHECK"]


def test_no_target_asks_for_torch():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = re.findall(r"requirements\.py ([a-z ]+)", (ROOT / "Dockerfile").read_text())
    assert [extras.split()[:2] for extras in asked] == [["serve", "cpu"], ["serve", "gpu"]]
    for extras in asked:
        lines = requirements(project, extras.split())
        assert len(lines) > 5
        assert [line for line in lines if re.match(r"torch|lightning|transformers", line)] == []


def test_what_pip_installs_is_held_to_the_constraints():
    runs = [value for instruction, value in instructions(ROOT / "Dockerfile") if instruction == "RUN"]
    commands = [command for value in runs for command in re.findall(r"pip install [^&]*", value)]
    assert len(commands) == 3
    assert [command for command in commands if "--constraint constraints.txt" not in command] == []


def test_the_gpu_target_pins_everything_it_adds():
    lines = (ROOT / "deploy" / "constraints-gpu.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin) for pin in pins)
    assert {"onnxruntime-gpu", "faiss-gpu"} <= {pin.split("==")[0] for pin in pins}


def test_the_environment_it_sets_is_the_settings_own():
    from serve.settings import Settings

    set_here = [k for _, v in [s for s in instructions(ROOT / "Dockerfile") if s[0] == "ENV"] for k in pairs(v)]
    assert settings_named(" ".join(set_here)) >= {"bundle", "gallery", "host", "port"}
    assert settings_named(" ".join(set_here)) <= set(Settings.model_fields)


def test_the_build_context_is_an_allow_list(tmp_path):
    builder = Builder(ROOT, tmp_path, tmp_path, {}, {})
    tops = {path.split("/")[0] for path in builder.allowed}
    assert {"serve", "bundle", "ear_teacher.py"} <= tops
    assert tops <= {
        *("pyproject.toml", "constraints.txt", "LICENSE", "ear_teacher.py", "Dockerfile", ".dockerignore"),
        *("common", "bundle", "measure", "index", "serve", "client", "deploy", "demo", "bundles"),
    }
    assert not [path for path in builder.allowed if "__pycache__" in path or path.startswith("demo/ears")]


def test_every_room_that_serve_may_import_is_copied():
    text = (ROOT / "Dockerfile").read_text()
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    torchless = next(rule for rule in rules if "torch" in rule.get("forbidden_modules", []))
    assert set(torchless["source_modules"]) == set(re.findall(r"^COPY (\w+)/ \1/$", text, re.MULTILINE))
