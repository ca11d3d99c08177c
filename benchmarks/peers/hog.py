"""PostHog's Django middleware, and a flag that it decides from memory."""

from __future__ import annotations

import argparse
from typing import Any

from measure import Json, main, versions
from web_requests import added, configure_django, django_requests

FLAG = {
    "id": 1,
    "key": "layout",
    "active": True,
    "filters": {
        "groups": [{"properties": [], "rollout_percentage": 100}],
        "multivariate": {
            "variants": [
                {"key": "one", "name": "", "rollout_percentage": 50},
                {"key": "two", "name": "", "rollout_percentage": 50},
            ]
        },
    },
}


def django(arguments: argparse.Namespace, *, decides: bool) -> Json:
    configure_django()
    from django.http import HttpResponse
    from posthog import Posthog  # pyright: ignore[reportMissingImports]  # in the virtual environment of its own
    from posthog.integrations.django import (  # pyright: ignore[reportMissingImports]  # as above
        PosthogContextMiddleware,
    )

    client = Posthog("phc_measurements", host="http://127.0.0.1:9", disabled=False, send=False)
    client.feature_flags = [FLAG]

    def view(request: Any) -> HttpResponse:
        if not decides:
            return HttpResponse(b"nothing")
        flag = client.get_feature_flag(
            "layout",
            request.headers["X-POSTHOG-DISTINCT-ID"],
            only_evaluate_locally=True,
            send_feature_flag_events=False,
        )
        assert flag in ("one", "two")
        return HttpResponse(str(flag).encode())

    wrapped = PosthogContextMiddleware(view)
    return added(lambda request: HttpResponse(b"nothing"), wrapped, django_requests, arguments.n)


def django_nothing(arguments: argparse.Namespace) -> Json:
    """A request that asks nothing."""
    return django(arguments, decides=False)


def django_decided(arguments: argparse.Namespace) -> Json:
    """A request with one decision."""
    return django(arguments, decides=True)


def about(_arguments: argparse.Namespace) -> Json:
    return versions(["posthog", "django"])


if __name__ == "__main__":
    main({"django_nothing": django_nothing, "django_decided": django_decided, "about": about})
