"""The page of checks is of this code."""

from docs import checks


def test_the_page_is_of_this_code():
    assert checks.PAGE.read_text(encoding="utf-8") == checks.page(), "python -m docs.checks"


def test_both_outcomes_are_there():
    assert {check.outcome for check in checks.checks()} == {"refused", "a warning"}


def test_a_check_is_known_by_its_docstring(tmp_path):
    package = tmp_path / "some"
    (package / "training").mkdir(parents=True)
    for other in ("config", "datasets", "batches", "runs"):
        (package / other).mkdir()
    (package / "model.py").write_text('def f():\n    """Makes."""')
    text = 'def g():\n    """Warns of a | b.\n\n    More."""\n\n\ndef h():\n    """Refuses c."""'
    (package / "training" / "x.py").write_text(text)
    assert list(checks.checks(package)) == [
        ("a warning", "a | b", "`some/training/x.py: g`"),
        ("refused", "c", "`some/training/x.py: h`"),
    ]
