"""`manage.py convert_check`: fetch the document once, and say what stands against using it."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser
from typing import ClassVar

from django.core.checks import CheckMessage
from django.core.management.base import BaseCommand, CommandError

from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client
from convert_sdk.integrations.django.checks import check_settings
from convert_sdk.integrations.django.configuration import get_client
from convert_sdk.status import Status


class Command(BaseCommand):
    """Checks the settings, the network and the document; nothing is tracked."""

    help = "Fetch the Convert document, and show its experiences and problems."
    requires_system_checks: ClassVar[list[str]] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the time to wait."""
        parser.add_argument("--timeout", type=float, default=10.0, help="seconds to wait for the document")

    def handle(self, *arguments: object, timeout: float = 10.0, **options: object) -> None:
        """Check; raises CommandError, which ends with the status 1, where nothing can be decided."""
        del arguments, options
        messages: list[CheckMessage] = check_settings(None)
        for message in messages:
            self.stderr.write(str(message))
        if any(message.is_serious() for message in messages):
            raise CommandError("the settings cannot be used")
        client = get_client()
        status = self._fetched(client, timeout)
        project = client.project
        if project is None:
            raise CommandError(f"no document after {timeout:g} s: {status.fetch_error or 'no answer'}")
        self.stdout.write(str(status))
        for experience in project.experiences:
            arms = ", ".join(variation.key for variation in experience.variations.values())
            self.stdout.write(f"experience {experience.key}: {arms}")
        for problem in project.problems:
            self.stdout.write(f"problem    {problem.path}: {problem.message}")

    def _fetched(self, client: Client | AsyncClient, timeout: float) -> Status:
        """The state of the client once it had that time; one that was not in use before is closed again."""
        in_use = client.status().worker_alive
        if isinstance(client, Client):
            client.wait_until_ready(timeout)
            status = client.status()
            if not in_use:
                client.close()
            return status

        async def fetch() -> Status:
            await client.wait_until_ready(timeout)
            status = client.status()
            if not in_use:
                await client.close()
            return status

        return asyncio.run(fetch())
