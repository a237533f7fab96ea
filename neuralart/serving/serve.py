"""``neuralart serve``: paints photos and shows a training, in the browser of this machine."""

from __future__ import annotations

import shutil
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path

from neuralart.machine.leftovers import half_written
from neuralart.machine.signals import ended_by_signals
from neuralart.options.serve import ServeConfig
from neuralart.serving.browser_page import BrowserPage
from neuralart.serving.catalogue import Catalogue
from neuralart.serving.easel import Easel
from neuralart.serving.guard import Guard, is_loopback
from neuralart.serving.server import Server
from neuralart.serving.site import Site
from neuralart.serving.watching import WatchedRun
from neuralart.serving.workbench import Workbench


def serve(
    config: ServeConfig,
    models: Sequence[str],
    show: Callable[[str], None],
    note: Callable[[str], None],
) -> None:
    """Serve until Ctrl-C.

    models  words of --model
    show    called with the address
    note    called with lines for people

    Raises ConfigError if the address cannot be had, ModelError if a model cannot be read, RunError
    if --run is no run.
    """
    run = None if config.run is None else WatchedRun(config.run)
    folder = Path(tempfile.mkdtemp(prefix="neuralart-serve-"))
    with half_written(folder):
        try:
            _serve(config, models, run, folder, show, note)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _serve(
    config: ServeConfig,
    models: Sequence[str],
    run: WatchedRun | None,
    folder: Path,
    show: Callable[[str], None],
    note: Callable[[str], None],
) -> None:
    """Serve with an empty folder for models and the page, see `serve`."""
    catalogue = Catalogue(models, folder)
    workbench = Workbench()
    (folder / "page").mkdir()
    subjects = [served.subject for served in catalogue.models.values()]
    page = BrowserPage(subjects, folder / "page", workbench)
    site = Site(catalogue, Easel(config.device), page, run, workbench)
    with Server(config.host, config.port, Guard(config.host), site.respond) as server:
        address = server.address(config.host) + ("run/" if run is not None else "")
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        try:
            with ended_by_signals():
                show(address)
                if not is_loopback(config.host):
                    note(
                        f"warning: everybody who reaches {config.host} can paint here and see "
                        "what is served; nothing is encrypted"
                    )
                note("note: Ctrl-C ends it")
                if config.open and not webbrowser.open(address):
                    note("note: no browser was found; open the address in one")
                workbench.run()
            note("stopped")
        finally:
            server.shutdown()
