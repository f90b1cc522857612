"""`redrive models`: push, list, show, check."""

import sys
from typing import Annotated

import typer

from cli.connection import DEFAULT_URL, AsJson, Url, connect, print_json, print_table
from cli.model_folders import local_model

app = typer.Typer(help="Upload, list and check models.", no_args_is_help=True)

Folder = Annotated[
    str,
    typer.Argument(
        help="Folder with manifest.json and its graphs, a shipped model's name, or `log`."
    ),
]


@app.command()
def push(folder: Folder, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Upload a model; what is there already is not sent again."""
    manifest, graphs = local_model(folder)
    with connect(url) as client:
        model = client.push_model(manifest, graphs)
    if as_json:
        print_json(model)
    else:
        print(f"{model['digest']}  {model['name']}")


@app.command()
def check(folder: Folder) -> None:
    """Check a model's graphs against its manifest here, without a service: what an upload would refuse."""
    from server.graphs.static_checks import check_graphs  # the ONNX library takes a while to load

    manifest, graphs = local_model(folder)
    check_graphs(manifest, graphs)
    print(f"{manifest.name} is fine; its identity is {manifest.digest}", file=sys.stderr)


@app.command("list")
def list_models(
    name: Annotated[
        str | None,
        typer.Option(envvar="REDRIVE_NAME", help="Part of the name, or the digest's beginning."),
    ] = None,
    most: Annotated[int, typer.Option(envvar="REDRIVE_MOST", min=1, help="At most so many.")] = 30,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Registered models, newest first."""
    with connect(url) as client:
        models = list(client.items("/v1/models", most=most, **({"name": name} if name else {})))
    if as_json:
        print_json(models)
        return
    rows = [(m["digest"][:12], m["name"], m["kind"], m["created"][:19]) for m in models]
    print_table(
        ("digest", "name", "kind", "registered"), rows, "no model yet: redrive models push DIR"
    )


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="Digest, its first digits, or name.")],
    url: Url = DEFAULT_URL,
) -> None:
    """A registered model with its manifest, as JSON."""
    with connect(url) as client:
        print_json(client.get(f"/v1/models/{model}"))
