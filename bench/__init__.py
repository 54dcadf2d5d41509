"""What a request costs: Kobako beside Kinto, PocketBase and a bare application, on one machine and the same data.

`make bench` runs it (`python -m bench --help`) and writes docs/benchmarks.md. These are tools, not tests.

    __main__.py    options, and what is written in the end
    rounds.py      starts the contenders, checks their answers, measures them in turns
    contenders/    one module a contender: install, start, seed, and its requests
    limit/         the bare ASGI applications
    dataset.py     the records;  filling.py  Kobako's own, many at a time;  workloads.py  what is asked
    load.py        the client, in a process of its own;  cpu.py  CPU time and memory of processes
    figures.py     medians and spreads;  targets.py, report.py, plot.py  what is made of them
"""
