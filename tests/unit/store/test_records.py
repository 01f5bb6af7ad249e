"""Kinds of records, whose decoders several reader threads ask for at once."""

import subprocess
import sys

# Each thread looks into the same struct types a little later than the one before, while that is still at it.
_READERS = """
import sys, threading, time
from forebay.api import pipes
from forebay.store.records import Kind

DATA = b'{"Name": "n", "SourceParameters": {"SqsQueueParameters": {"BatchSize": 3}}}'
barrier = threading.Barrier(8)
found = []

def read(number):
    kind = Kind(f"kind.{number}", pipes.DescribePipeResponse)
    barrier.wait()
    time.sleep(0.0005 * number)
    found.append(kind.decode(DATA).source_parameters.sqs_queue_parameters.batch_size)

sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(found)
"""


def test_first_reads_of_many_threads_do_not_crash():
    done = subprocess.run([sys.executable, "-c", _READERS], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, str([3] * 8)), done.stderr
