"""episteme openapi."""

import json
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from episteme.config import ServerConfig
from episteme.node import Node


def openapi() -> None:
    """Print the OpenAPI document of the HTTP interface, as a server of this version gives it at /openapi.json."""
    from episteme.server.app import Application  # here, as of serve_folder
    from episteme.server.openapi import document

    with TemporaryDirectory(prefix="episteme-openapi-") as folder, Node.open(Path(folder)) as node:
        application = Application(node, ServerConfig())
        try:
            made = document(application.endpoints, version("episteme-db"))
        finally:
            application.close()
    typer.echo(json.dumps(made, indent=2, ensure_ascii=False))
