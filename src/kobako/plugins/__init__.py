"""The plugins that Kobako brings, each a module or folder of its own, written with the toolkit's public names.

`includes` enables them, by their name, or by the one they have in Kinto (`settings/dotted.py`); a folder that is
deleted is a plugin less. Their commands are in `<plugin>/commands.py`, above the toolkit.
"""
