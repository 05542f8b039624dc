from workflows.analysis.column_docs import PAGE, page


def test_the_page_on_results_describes_the_tables_as_they_are():
    assert page() == PAGE.read_text(encoding="utf-8"), "run `make docs`"
