"""The plugin as a process whose machines take their time: a call waits while the file named by argv[1] is there."""

import sys
import time
from pathlib import Path

from provisioner.plugin.main import serve
from tests.fakes.machines import FakeMachines


def hold(call):
    Path(f"{sys.argv[1]}.begun").write_text(call)
    while Path(sys.argv[1]).exists():
        time.sleep(0.02)
    Path(f"{sys.argv[1]}.ended").write_text(call)


machines = FakeMachines()
machines.hold = hold
serve(machines)
