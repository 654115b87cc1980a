"""The page: static files that the API serves; it reads the API as any other client does."""

from pathlib import Path

_FOLDER = Path(__file__).parent

FILES = {file.name: file for file in sorted(_FOLDER.iterdir()) if file.suffix in (".html", ".css", ".js")}
"""Files of the page by name; nothing else of the folder is served."""
