"""Facts about where a number comes from."""

import subprocess
import sys
import time

from workflows import provenance


def test_processor_time_is_this_process_and_its_ended_children():
    before = provenance.cpu_seconds()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
    child = provenance.cpu_seconds() - before
    assert 0.3 <= child < 3
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    assert provenance.cpu_seconds() - before >= child + 0.2
