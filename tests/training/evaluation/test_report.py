"""The HTML report: escaped, self-contained, honest."""

from training.evaluation.report import table, write_report

RESULTS = {
    "model": {"name": "<model>", "preset": "tiny", "kind": "checkpoint"},
    "data": {"name": "ears", "pictures": 3, "subjects": 2, "subjects_seen_in_training": 2, "protocol": "two & two"},
    "reconstruction": {"psnr_db": 21.5, "ssim": 0.7, "terms": {"l1": 0.1}},
}


def test_names_are_escaped():
    assert table(["<b>"], [["a & b"]]).count("&lt;b&gt;") == 1


def test_report_says_when_people_were_trained_on(tmp_path):
    write_report(RESULTS, [], tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "2 of them trained on: the figures flatter" in text
    assert "&lt;model&gt;" in text
    assert "21.50" in text
    assert "two &amp; two" in text
