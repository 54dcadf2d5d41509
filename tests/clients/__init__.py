"""The real clients, and a tour on real data, against a real `kobako start` on SQLite."""

from pathlib import Path
from typing import Final

PAGE: Final = 40
"""How many objects the server of these tests puts in a page: few, so that clients have to follow pages."""

OIDC: Final = Path(__file__).parent / "oidc"
"""An OpenID provider, and its packages."""

JS: Final = Path(__file__).parent / "js"
"""The scenarios for clients in JavaScript, and their packages."""
