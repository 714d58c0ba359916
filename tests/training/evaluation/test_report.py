"""The HTML report: escaped, self-contained, honest."""

from training.evaluation.report import table, write_report

RESULTS = {
    "model": {"name": "<model>", "preset": "tiny", "kind": "checkpoint"},
    "data": {
        "name": "ears",
        "pictures": 3,
        "subjects": 2,
        "split": "all",
        "trained_on": "2 of 2 people were trained on.",
        "left_out": 0,
        "refused": 1,
        "refused_pictures": ["bad<1>.png: broken"],
        "sha256": "ab",
        "protocol": "two & two",
    },
    "run": {"date": "2026-01-02", "command": "ear-teacher evaluate x", "version": "1", "commit": "c0ffee"},
    "reconstruction": {"psnr_db": 21.5, "ssim": 0.7, "terms": {"l1": 0.1}},
}


def test_names_are_escaped():
    assert table(["<b>"], [["a & b"]]).count("&lt;b&gt;") == 1


def test_report_says_first_whether_people_were_trained_on(tmp_path):
    write_report(RESULTS, [], tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert text.index("2 of 2 people were trained on.") < text.index("<h1>")
    assert "&lt;model&gt;" in text
    assert "21.50" in text
    assert "two &amp; two" in text


def test_report_says_when_how_and_on_what_it_was_made_and_names_refused_pictures(tmp_path):
    write_report(RESULTS, [], tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    for words in ("2026-01-02", "ear-teacher evaluate x", "c0ffee", "bad&lt;1&gt;.png: broken"):
        assert words in text


def test_report_has_no_table_without_rows(tmp_path):
    assert table(["a"], []) == ""
    write_report({**RESULTS, "identity": {"slices": []}, "protocols": {}}, [], tmp_path / "r.html")
    assert "<tbody></tbody>" not in (tmp_path / "r.html").read_text()
