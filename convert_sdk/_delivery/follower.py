"""Following the document: its arrival, its age, and what replaces it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convert_sdk.observation import DocumentChanged
    from convert_sdk.project import Project


class DocumentFollower(ABC):
    """Somebody who follows the document of a client; called by whoever fetches it, in a thread or a loop."""

    @abstractmethod
    def look(self) -> None:
        """Look at the state of the document: a fetch has ended, well or not, or the document became stale."""

    @abstractmethod
    def replaced(self, change: DocumentChanged, before: Project, after: Project) -> None:
        """Note that another document came into use; a look follows."""
