"""Progress lines reach stderr once, whichever stream stderr is by then."""

import logging

from common.progress import show_progress


def test_a_line_is_shown_once_however_often_progress_was_asked_for(capsys):
    show_progress()
    show_progress()
    logging.getLogger("export.write").info("encoder.onnx: exporting")
    logging.getLogger("export.write").debug("not for the command line")
    captured = capsys.readouterr()
    assert captured.err == "encoder.onnx: exporting\n"
    assert captured.out == ""
