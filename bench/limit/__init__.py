"""The limit: what the server and the statements cost alone. No route table, no users, no permissions, no checks."""
