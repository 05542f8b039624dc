"""The parts of documents that `make docs` writes from the code, each between two comments with its name."""


def rewritten(page: str, name: str, part: str) -> str:
    """A page's text with the part of this name replaced."""
    begin, end = f"<!-- {name}: written by `make docs` -->", f"<!-- end of {name} -->"
    before, rest = page.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n\n{part.strip()}\n\n{end}{after}"
