"""The layout that docs/extending.md shows is a real one."""

import re
from pathlib import Path

from common.records import reader

PAGE = (Path(__file__).parents[3] / "docs" / "extending.md").read_text()


def test_layout_of_the_guide_is_recognised_and_read(tmp_path, monkeypatch):
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE[PAGE.index("## A layout of pictures") :], re.M | re.S)
    names: dict = {}
    exec(compile(code, "docs/extending.md", "exec"), names)
    monkeypatch.setattr(reader, "LAYOUTS", (names["LAYOUT"], *reader.LAYOUTS))
    for name, person in (("a.png", "ann"), ("b.png", "ben")):
        (tmp_path / name).write_bytes(b"")
        (tmp_path / f"{name}.txt").write_text(person)
    found = reader.read_records(tmp_path)
    assert found.layout.name == "sidecar"
    assert [record.subject for record in found.records] == ["ann", "ben"]
