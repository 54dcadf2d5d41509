"""`kobako sweep-attachments`: for a timer of the machine, once a day; it runs beside the server."""

import asyncio
import logging
import os
from pathlib import Path

import click

from kobako import Settings, stock
from kobako.app import App
from kobako.cli import common, configure_logging, told
from kobako.plugins.attachments import options
from kobako.plugins.attachments.opening import open_files
from kobako.plugins.attachments.sweeping import Swept, sweep
from kobako.server import stock_app

_log = logging.getLogger("kobako")


@click.command("sweep-attachments")
@common
@click.option("--dry-run", is_flag=True, help="Only tell which files would go.")
def sweep_attachments(ini: Path | None, level: int | None, dry_run: bool) -> None:
    """Delete the files of attachments that no record has, but for those that are new."""
    configure_logging(level)
    with told():
        settings = stock.load(ini or stock.find_ini(os.environ), os.environ)
        stock.check_others_see(settings)
        found = asyncio.run(_sweep(stock_app(settings), settings, dry_run))
    for path in (*found.orphans, *found.unfinished):
        _log.info("%s %s", "Would delete" if dry_run else "Deleted", path)
    _log.info("%d files that no record has, %d unfinished ones.", len(found.orphans), len(found.unfinished))


async def _sweep(app: App, settings: Settings, dry_run: bool) -> Swept:
    configured = options.read(settings)
    async with app:
        return await sweep(app.site.backends, open_files(configured), configured, dry_run=dry_run)
