import argparse
from pathlib import Path

import pytest

from tests.helpers import raises_naming
from workflows.command_line import (
    InputError,
    above_zero,
    exit_status,
    from_zero,
    positive,
    refuse_missing,
    refuse_repeated,
    refuse_same_file,
    whole,
    words,
)


def ending(error: type[BaseException] | None, **options) -> int:
    def command() -> int:
        if error is not None:
            raise error("no such set")
        return 1

    return exit_status(command, **options)


@pytest.mark.parametrize(("error", "status"), [(None, 1), (InputError, 2), (OSError, 2), (KeyboardInterrupt, 130)])
def test_a_command_ends_with_its_own_status_or_says_why(error, status, capsys):
    assert ending(error) == status
    told = {2: "error: no such set\n", 130: "interrupted\n"}
    assert capsys.readouterr().err == told.get(status, "")


def test_an_error_of_the_program_keeps_its_traceback():
    with pytest.raises(ValueError, match="no such set"):
        ending(ValueError)
    assert ending(ValueError, bad_input=(ValueError,)) == 2


@pytest.mark.parametrize(
    ("kind", "taken", "refused"),
    [
        (whole, {"0": 0, "12": 12}, ("-1", "1.5", "x", "", "nan")),
        (positive, {"1": 1}, ("0", "-1", "1e3")),
        (from_zero, {"0": 0.0, "0.25": 0.25, "1e3": 1000.0}, ("-1", "nan", "inf", "-0.1", "x", "")),
        (above_zero, {"0.5": 0.5}, ("0", "-1", "nan", "inf", "x")),
    ],
)
def test_an_argument_is_a_number_in_its_range(kind, taken, refused):
    assert {text: kind(text) for text in taken} == taken
    for text in refused:
        with raises_naming(argparse.ArgumentTypeError, repr(text)):
            kind(text)


def test_files_that_are_not_there_are_named(tmp_path):
    (tmp_path / "x.csv").touch()
    refuse_missing("--runs", [tmp_path / "x.csv"])
    with raises_naming(InputError, "--runs", tmp_path / "y.csv", tmp_path):
        refuse_missing("--runs", [tmp_path / "y.csv", tmp_path / "x.csv", tmp_path])


def test_what_is_given_twice_is_named():
    refuse_repeated("--runs", ["a", "b"])
    with raises_naming(InputError, "--runs", "a"):
        refuse_repeated("--runs", ["a", "b", "a"])
    refuse_same_file({"--one": Path("x.csv"), "--two": Path("y.csv")})
    with raises_naming(InputError, "--one", "--three"):
        refuse_same_file({"--one": Path("x.csv"), "--two": Path("y.csv"), "--three": Path("./z/../x.csv")})


@pytest.mark.parametrize("values", [["a"], ["a b", "c"], ["-1a"], ["a", "--out=x"]])
def test_words_are_read_back_whatever_they_begin_with(values):
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", nargs="+", action="extend")
    parser.add_argument("--out")
    assert vars(parser.parse_args([*words("--images", *values), "--out", "y"])) == {"images": values, "out": "y"}
