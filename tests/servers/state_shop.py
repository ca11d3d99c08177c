"""A shop that remembers its visitors in a signed cookie alone, to be run by gunicorn in several workers."""

from __future__ import annotations

import os

from flask import Flask

from convert_sdk import Client
from convert_sdk.integrations.flask import Convert


def create_app() -> Flask:
    """The shop of one worker; its secret and the client's options come from the environment."""
    app = Flask("shop")
    app.secret_key = os.environ["SHOP_SECRET"]
    convert = Convert(app, Client(start_wait=120, shutdown_timeout=120), state="cookie")

    @app.get("/")
    def front() -> dict[str, object]:
        return {"button": convert.visitor.decide("button-10").variation_id, "worker": os.getpid()}

    @app.post("/buy")
    def buy() -> dict[str, object]:
        return {"counted": bool(convert.visitor.track("goal-1")), "worker": os.getpid()}

    return app
