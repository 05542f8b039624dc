from workflows.analysis.reference import PAGE, rewritten


def test_the_page_on_results_describes_the_tables_as_they_are():
    text = PAGE.read_text(encoding="utf-8")
    assert text == rewritten(text), "run `make docs`"
