"""Policies: the ways to tell who calls that the settings can name. One module each; `named` makes what they name.

Source: HTTP API, sections 4 and 16.7; objects, 15.
"""
