"""Commands that must fail, and the one line that each of them says."""

from collections.abc import Callable

import pytest

from jobs import cli

Refused = Callable[..., str]


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command whose arguments argparse refuses; return the last line of its error."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    assert caught.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith("usage: melstream")
    return errors.splitlines()[-1]
