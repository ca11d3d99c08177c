"""A request as a test describes it."""

from __future__ import annotations

from convert_sdk.integrations._web.request import AsgiRequest


class Asked(AsgiRequest):
    """A request made of a URL and headers, which counts what it is asked for."""

    def __init__(self, url: str = "https://shop.example/", method: str = "GET", **headers: str) -> None:
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        path, _, query = path.partition("?")
        pairs = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        super().__init__(
            {
                "method": method,
                "scheme": scheme,
                "path": slash + path,
                "query_string": query.encode("latin-1"),
                "headers": [(name.encode(), value.encode("latin-1")) for name, value in pairs.items()],
            }
        )
        self.asked: list[str] = []

    def header(self, name: str) -> str | None:
        self.asked.append(name)
        return super().header(name)
