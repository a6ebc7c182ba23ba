"""The HOT tier: the only room that talks to SQLite (through apsw, fact: one SQLite library a process and file)."""
