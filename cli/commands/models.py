"""`redrive models`: push, list, show, check."""

import sys
from typing import Annotated

import typer

from cli.connection import connect
from cli.model_folders import local_model
from cli.options import DEFAULT_URL, AsJson, Most, Url, argument, option
from cli.printing import Columns, print_items, print_json

app = typer.Typer(no_args_is_help=True)

Folder = Annotated[
    str, argument("Folder with manifest.json and its graphs, a shipped model's name, or `log`.")
]


@app.command()
def push(folder: Folder, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Upload a model; what is there already is not sent again."""
    manifest, graphs = local_model(folder)
    with connect(url) as client:
        model = client.push_model(manifest, graphs)
    print_json(model) if as_json else print(f"{model['digest']}  {model['name']}")


@app.command()
def check(folder: Folder) -> None:
    """Check a model's graphs against its manifest here, without a service, as an upload does."""
    from server.graphs.static_checks import check_graphs  # the ONNX library takes a while to load

    manifest, graphs = local_model(folder)
    check_graphs(manifest, graphs)
    print(f"{manifest.name} is fine; its identity is {manifest.digest}", file=sys.stderr)


@app.command("list")
def list_models(
    name: Annotated[
        str | None, option("Part of the name, or the digest's beginning.", "REDRIVE_NAME")
    ] = None,
    most: Most = 30,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Registered models, newest first."""
    filters = {"name": name} if name else {}
    with connect(url) as client:
        models = list(client.items("/v1/models", most=most, **filters))
    columns: Columns = {
        "digest": lambda m: m["digest"][:12],
        "name": "name",
        "kind": "kind",
        "registered": lambda m: m["created"][:19],
    }
    print_items(models, columns, "no model yet: redrive models push DIR", as_json)


@app.command()
def show(
    model: Annotated[str, argument("Digest, its first digits, or name.")], url: Url = DEFAULT_URL
) -> None:
    """A registered model with its manifest, as JSON."""
    with connect(url) as client:
        print_json(client.get(f"/v1/models/{model}"))
