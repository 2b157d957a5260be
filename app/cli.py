"""``citewell``: the groups of commands, loaded by name when one is asked for. This module imports nothing heavy."""

import gc
import os
import sys
from importlib.metadata import entry_points, version

import click

_GROUP = "citewell.commands"
_ABOUT = {
    "ingest": "Index documents into a collection.",
    "index": "Look at indexes, check them, roll back, clean up.",
    "docs": "See what is indexed, who may read it and what was refused; delete documents.",
    "ask": "Ask a question.",
    "search": "Find passages.",
    "serve": "Serve the HTTP API and the page.",
    "evals": "Score answers and retrieval against golden sets.",
    "ledger": "Look at answers and what they cost.",
    "prices": "Look at the price book, and set prices.",
    "keys": "Make, list and revoke API keys.",
    "migrate": "Bring the database to this version.",
    "doctor": "Check everything, and say how to mend what fails.",
}
"""One line each, here so that ``--help`` loads no command; a test compares them with the commands."""


class Lazy(click.Group):
    """A group whose commands are entry points: no path imports the other, and ``--help`` imports neither."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return the names, in the order a newcomer meets them."""
        return list(_ABOUT)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's
        """Import the one command that was asked for."""
        for point in entry_points(group=_GROUP, name=cmd_name):
            gc.disable()  # what imports make, stays: to look for garbage in it is a tenth of a short command
            command: click.Command = point.load()
            gc.freeze()
            gc.enable()
            return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_ABOUT.items()))


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog='Begin with: citewell ingest docs/handbook, then citewell ask "What does a call cost?"',
)
@click.version_option(version("citewell"), prog_name="citewell")
def cli() -> None:
    """Answers from your documents, with every citation checked and every cent accounted for."""


def main() -> None:
    """Run the command line; 130 when interrupted."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of a pipe went away: no error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
