"""Tables of visitors, of every kind; without pyarrow all of it is skipped."""

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra arrow)")
