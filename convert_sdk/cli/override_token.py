"""`convert-sdk override-token`: a signed token for people who test in production."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from convert_sdk import Client
from convert_sdk.errors import OptionError, UnknownNameError
from convert_sdk.integrations import override_token as signed_token
from convert_sdk.options import build

from .source import SdkKey, fail, read_source

_UNITS = {"s": 1, "m": 60, "h": 3_600}


def override_token(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DOCUMENT] EXPERIENCE=VARIATION...",
            help="The document (- is standard input), and a variation for each experience, by their keys.",
        ),
    ] = None,
    *,
    sdk_key: SdkKey = None,
    environment: Annotated[
        str | None, typer.Option(help="That of the site; by default the document's own default.")
    ] = None,
    expires: Annotated[
        str, typer.Option(help="Until when it is accepted: 90s, 30m, 8h; 24h at most.")
    ] = "1h",
    url: Annotated[
        str | None, typer.Option(help="A page, to print a link to it that sets the cookie.")
    ] = None,
) -> None:
    """Sign a token that shows its owner these variations; the secret is taken from CONVERT_SECRETS.

    The site takes it in the header Convert-Override where its middleware has accept_override=True.
    """
    source = read_source(words, sdk_key, least=1, most=100)
    variations = dict(_pair(word) for word in source.words)
    try:
        secrets = build({}).secrets
        if not secrets:
            fail("set CONVERT_SECRETS to the secrets of the site", 2)
        client = Client.offline(source.project(), environment=environment, secrets=secrets)
        token = signed_token(client, variations, max_age=_seconds(expires))
    except (OptionError, UnknownNameError, ValueError) as error:
        fail(str(error), 2)
    typer.echo(token if url is None else _link(url, token))


def _pair(word: str) -> tuple[str, str]:
    key, equals, variation = word.partition("=")
    if not (key and equals and variation):
        raise typer.BadParameter(f"expected EXPERIENCE=VARIATION, found {word!r}")
    return key, variation


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d{1,9})([smh])", text)
    if found is None:
        raise typer.BadParameter(
            f"expected a time such as 90s, 30m or 8h, found {text!r}", param_hint="--expires"
        )
    return float(found[1]) * _UNITS[found[2]]


def _link(url: str, token: str) -> str:
    page, mark, fragment = url.partition("#")
    return f"{page}{'&' if '?' in page else '?'}convert_override={token}{mark}{fragment}"
