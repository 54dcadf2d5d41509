"""The oracle: no missed change, no lost write, whatever is killed meanwhile (reliability, section 3).

    runs.py         a run: service.py (a real server of the test build, server.py), writers.py and pollers.py that
                    speak HTTP to it, nemesis.py that disturbs it, and a history of all that happened (history.py)
    checker.py      judges a history, as it comes or from its file: a rule a promise, in rules/
    hooks.py        the test build: pauses and kills at named points, clock, disk; breaks.py: broken on purpose
    crashes.py      losses of power, in this process, on a disk that knows what was synced (powerloss.py)

A backend is a row in backends.py, a fault a function and a row in nemesis.py, a switch a function in breaks.py with the
case that tells of it in test_switches.py, a promise a rule, and histories that break it in test_rules.py.
"""
