"""Listeners that come with the server, for the settings to name: each module has a function `listening`."""
