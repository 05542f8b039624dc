import pytest

from workflows.command_line import InputError, exit_status


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
