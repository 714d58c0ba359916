"""A release bumps every place that states the version, moves the notes, and refuses what is not fit."""

import datetime
import re
import tomllib
from pathlib import Path

import pytest

from deploy import release
from deploy.release import ReleaseError

ROOT = Path(__file__).parents[2]
DAY = datetime.date(2026, 12, 1)
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Ears.\n\n## [0.1.0] - 2026-11-01\n\n- First.\n"


@pytest.fixture
def tree(tmp_path):
    """A small project under git."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "0.1.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "kustomization.yaml").write_text('images:\n  - name: x\n    newTag: "0.1.0-cpu"\n')
    release.git(tmp_path, "init", "--quiet", "--initial-branch=main")
    for key, value in (
        ("user.name", "A"),
        ("user.email", "a@b.c"),
        ("commit.gpgsign", "false"),
        ("tag.gpgsign", "false"),
    ):
        release.git(tmp_path, "config", key, value)
    release.git(tmp_path, "add", ".")
    release.git(tmp_path, "commit", "--quiet", "--message", "Start")
    return tmp_path


def test_a_release_bumps_moves_the_notes_commits_and_tags(tree):
    assert release.release(tree, "0.2.0", DAY) == "v0.2.0"
    assert tomllib.loads((tree / "pyproject.toml").read_text())["project"]["version"] == "0.2.0"
    headings = re.findall(r"^## .*", (tree / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings == ["## [Unreleased]", "## [0.2.0] - 2026-12-01", "## [0.1.0] - 2026-11-01"]
    assert 'newTag: "0.2.0-cpu"' in (tree / "deploy" / "kustomization.yaml").read_text()
    assert release.git(tree, "status", "--porcelain") == ""
    assert "### Added\n\n- Ears." in release.git(tree, "tag", "--list", "--format=%(contents)", "v0.2.0")


def test_a_second_release_needs_new_notes(tree):
    release.release(tree, "0.2.0", DAY)
    with pytest.raises(ReleaseError, match="no notes under"):
        release.release(tree, "0.3.0", DAY)


@pytest.mark.parametrize("version", ["0.1.0", "0.0.9"])
def test_a_version_that_is_not_later_is_refused(tree, version):
    with pytest.raises(ReleaseError, match="not later than 0.1.0"):
        release.release(tree, version, DAY)


def test_the_first_version_is_released_as_it_stands(tree):
    text = CHANGELOG.split("## [0.1.0]")[0]
    (tree / "CHANGELOG.md").write_text(text)
    release.git(tree, "commit", "--all", "--message", "No release yet")
    assert release.release(tree, "0.1.0", DAY) == "v0.1.0"


@pytest.mark.parametrize("version", ["1.2", "v1.2.3", "1.2.3rc1", "01.2.3"])
def test_what_is_no_version_is_refused(version):
    with pytest.raises(ReleaseError, match="MAJOR.MINOR.PATCH"):
        release.numbers(version)


def test_uncommitted_work_is_not_released(tree):
    (tree / "pyproject.toml").write_text('[project]\nname = "y"\nversion = "0.1.0"\n')
    with pytest.raises(ReleaseError, match="not committed"):
        release.release(tree, "0.2.0", DAY)


def test_the_projects_own_files_have_what_a_release_edits():
    pyproject = (ROOT / "pyproject.toml").read_text()
    version = release.current_version(pyproject)
    assert tomllib.loads(release.bump(pyproject, "9.9.9"))["project"]["version"] == "9.9.9"
    for manifest in (ROOT / "deploy").rglob("kustomization.yaml"):
        tags = re.findall(r"newTag: \"?(\d+\.\d+\.\d+)", manifest.read_text())
        assert set(tags) <= {version}, f"{manifest.relative_to(ROOT)} names another version than pyproject.toml"
