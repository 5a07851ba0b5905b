"""The commands around a model repository and the server that reads it, each a line away from what does the work."""

from __future__ import annotations

from typing import Annotated

import typer

from hrm_trt.cli.options import AllowEmulated, Json, Workdir

serving_app = typer.Typer()
"""Their names stand beside those of all other commands."""
repository_app = typer.Typer(
    help="What a Triton model repository holds, and having a server serve it.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
serving_app.add_typer(repository_app, name="repository")

RepositoryHelp = "The Triton model repository: a directory, or a URL such as s3://bucket/models."
Place = Annotated[str, typer.Option("--repository", metavar="PLACE", help=RepositoryHelp)]
PlaceGiven = Annotated[str, typer.Argument(metavar="REPOSITORY", help=RepositoryHelp)]
Url = Annotated[str, typer.Argument(metavar="URL", help="The server: http://host:port or grpc://host:port.")]
ServerHelp = "A server that reads the repository: http://host:port or grpc://host:port."
Server = Annotated[str | None, typer.Option("--server", metavar="URL", help=ServerHelp)]
Seconds = Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds that each step on the server may take.")]
Names = Annotated[list[str] | None, typer.Option("--name", help="A solver. Repeatable.", show_default="all")]


@serving_app.command()
def publish(
    bundles: Annotated[
        list[str], typer.Argument(help="Bundles of one checkpoint: names in the work directory, or paths.")
    ],
    repository: Place,
    name: Annotated[str | None, typer.Option(help="What clients call the model.", show_default="the bundle's")] = None,
    keep: Annotated[int, typer.Option(min=1, help="Versions to keep.")] = 3,
    slots: Annotated[
        int | None,
        typer.Option(min=1, help="Puzzles that run at once.", show_default="the batch the engines are made for"),
    ] = None,
    queue: Annotated[int, typer.Option(min=1, help="Puzzles that may wait for a slot.")] = 1024,
    allow_ungated: Annotated[
        bool, typer.Option("--allow-ungated", help="Publish without a passing gate; the manifest will say so.")
    ] = False,
    allow_emulated: AllowEmulated = False,
    server: Server = None,
    timeout: Seconds = 60.0,
    workdir: Workdir = None,
    json: Json = False,
) -> None:
    """Publish bundles that passed their gate to a Triton model repository, as one more version.

    With --server a running server takes it up and no request is lost: the old version answers until a real answer of
    the new one is sound, and goes when its last request is answered. If anything fails, the old one is served again.
    """
    from hrm_trt.cli.publish import PublishOptions, publish_command

    options = PublishOptions(
        bundles=bundles,
        repository=repository,
        name=name,
        keep=keep,
        slots=slots,
        queue=queue,
        allow_ungated=allow_ungated,
        allow_emulated=allow_emulated,
        workdir=workdir,
    )
    publish_command(options, server=server, seconds=timeout, json=json)


@serving_app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="The published model.")],
    repository: Place,
    to: Annotated[
        int | None, typer.Option(min=1, help="The version to serve.", show_default="the one before the current")
    ] = None,
    server: Server = None,
    timeout: Seconds = 60.0,
    json: Json = False,
) -> None:
    """Serve a version that was kept, in place of the current one.

    With --server a running server does that without losing a request, as for `hrm-trt publish`; without, the servers
    that start from now on do.
    """
    from hrm_trt.cli.rollback import rollback_command

    rollback_command(name, repository, to, server=server, seconds=timeout, json=json)


@repository_app.command()
def status(repository: PlaceGiven, server: Server = None, json: Json = False) -> None:
    """List what was published: versions, verdicts, which is current, and what a server is serving of it."""
    from hrm_trt.cli.repository import status_command

    status_command(repository, server, json=json)


@repository_app.command()
def load(
    repository: PlaceGiven,
    server: Annotated[str, typer.Option("--server", metavar="URL", help=ServerHelp)],
    name: Names = None,
    timeout: Seconds = 60.0,
    json: Json = False,
) -> None:
    """Have a server serve what the repository says; a solver that does already is left alone.

    For a server that has just started with --model-control-mode=explicit, that reads a repository which was published
    to through another server, or whose `hrm-trt probe` fails: what gives no sound answer is unloaded and loaded again.
    """
    from hrm_trt.cli.repository import load_command

    load_command(repository, server, name or [], seconds=timeout, json=json)


@serving_app.command()
def preflight(
    repository: PlaceGiven,
    tensorrt: Annotated[
        str | None, typer.Option(metavar="VERSION", help="The server's TensorRT, which has to load the plans.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="The Triton image, such as tritonserver:26.07-py3, in place of --tensorrt.")
    ] = None,
    server: Annotated[str | None, typer.Option(metavar="URL", help="A running server, in place of --tensorrt.")] = None,
    json: Json = False,
) -> None:
    """Check a model repository for what a server would refuse: with --tensorrt, plans that it could not load too."""
    from hrm_trt.cli.preflight import Destination, preflight_command

    raise typer.Exit(preflight_command(repository, Destination(tensorrt, image, server), json=json))


@serving_app.command()
def probe(
    url: Url,
    name: Names = None,
    repository: Annotated[
        str | None, typer.Option(metavar="PLACE", help="Also check that what answers is what this repository says.")
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds that an answer may take.")] = 10.0,
    json: Json = False,
) -> None:
    """Ask every solver of a server for an answer, and check it: Triton calls itself ready even when a model is dead.

    Exit code 0: all are healthy; 4: one is not; 3: no server answers. `hrm-trt repository load` makes the server load
    again what has died.
    """
    from hrm_trt.cli.probe import probe_command

    probe_command(url, name or [], repository, seconds=timeout, json=json)


@serving_app.command()
def drain(
    url: Url,
    name: Names = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds that requests may take.")] = 60.0,
    json: Json = False,
) -> None:
    """Let a server finish what it has admitted, before it is stopped; for a preStop hook.

    Its solvers take no more requests, and the command comes back when their last one is answered. SIGTERM without this
    fails requests that are at work.
    """
    from hrm_trt.cli.drain import drain_command

    drain_command(url, name or [], seconds=timeout, json=json)
