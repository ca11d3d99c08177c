"""A small shop in Flask, with consent and login: `gunicorn flask_shop:app --preload -k gthread --workers 2`.

The variables CONVERT_SDK_KEY and the like configure the client; SHOP_STATE is the file that the workers share.
"""

from __future__ import annotations

import os

from flask import Flask, Request, Response, jsonify

from convert_sdk import Client, Consent
from convert_sdk.integrations.flask import Convert
from convert_sdk.stores.sqlite import SqliteStore


def agreed(request: Request) -> Consent | None:
    """The visitor's answer to the banner, which the shop keeps in a cookie of its own."""
    answer = request.cookies.get("answer")
    return Consent(answer) if answer in {*Consent} else None


def user(request: Request) -> str | None:
    """The user who is logged in; a real shop reads its session."""
    return request.cookies.get("user")


client = Client(store=SqliteStore(os.environ.get("SHOP_STATE", "shop.db")))
app = Flask(__name__)
convert = Convert(app, client, consent=agreed, identify=user, on_login="alias")


@app.get("/")
def home() -> Response:
    """Show a button in the visitor's variation."""
    visitor = convert.visitor
    return jsonify(visitor=visitor.id, button=visitor.decide("button-10").variation_key)


@app.post("/buy/<order>")
def buy(order: str) -> Response:
    """Count an order."""
    return jsonify(counted=bool(convert.visitor.track("goal-0", revenue=10, transaction_id=order)))


@app.post("/answer/<answer>")
def answer(answer: str) -> Response:
    """Take the visitor's answer to the banner."""
    response = Response()
    response.set_cookie("answer", answer)
    convert.visitor.set_consent(Consent(answer))
    return response


@app.post("/login/<name>")
def login(name: str) -> Response:
    """Log in; a real shop asks for a password."""
    response = Response()
    response.set_cookie("user", name)
    return response


@app.post("/logout")
def logout() -> Response:
    """Log out of a device that others use, too."""
    response = Response()
    response.delete_cookie("user")
    convert.new_visitor(response)
    return response
