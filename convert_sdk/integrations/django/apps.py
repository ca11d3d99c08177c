"""The Django application: it registers the system check."""

from django.apps import AppConfig
from django.core import checks


class ConvertConfig(AppConfig):
    """The application `convert_sdk.integrations.django`."""

    name = "convert_sdk.integrations.django"
    label = "convert_sdk"
    verbose_name = "Convert experiments"
    default = True

    def ready(self) -> None:
        """Register the check of the settings."""
        from .checks import check_settings

        checks.register(check_settings)
