"""What a request costs: Kobako beside Kinto, PocketBase and a bare application, on one machine and the same data.

`make bench` runs it (`python -m bench --help`) and writes docs/benchmarks.md. These are tools, not tests.

    __main__.py    options, and what is written in the end
    rounds.py      starts the contenders, checks their answers, measures them in turns
    contenders/    one module a contender: install, start, seed, and its requests
    limit/         the bare ASGI applications
    dataset.py     the records;  filling.py  Kobako's own, many at a time;  workloads.py  what is asked
    load.py        the client, in a process of its own;  cpu.py  CPU time and memory of processes
    pgbench.py     what PostgreSQL alone makes of a PUT;  footprint.py  start and memory of Kobako
    figures.py     medians and spreads;  targets.py, promises.py, report.py, tables.py, plot.py  what is made of them
    scale.py       `python -m bench.scale`: growing data;  scale_report.py, curves.py  what is made of that
"""
