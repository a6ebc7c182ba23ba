"""``python -m hybridstore`` is the command line."""

from __future__ import annotations

from hybridstore.cli import main

if __name__ == "__main__":
    main()
