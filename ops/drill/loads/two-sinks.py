"""Two topics that grow at different speeds, and a child process in a session of
its own, which nobody but the worker ends."""
import subprocess
import sys

import pyarrow as pa

BATCHES, ROWS = 4, 40


class Handler:
    def configure(self, context, config):
        self.context = context

    def consume(self, event):
        subprocess.Popen([sys.executable, "-S", "-E", "-c", "import time; time.sleep(600)"], start_new_session=True)
        with open(event.path) as file:
            first = int(file.read())
        left, right = self.context.register_topic("left"), self.context.register_topic("right")
        for batch in range(BATCHES):
            numbers = range(first + batch * ROWS, first + (batch + 1) * ROWS)
            self.context.publish(left, pa.table({"id": pa.array(numbers, pa.int64())}))
            if batch % 2:
                self.context.publish(right, pa.table({"name": ["row %d" % n for n in numbers], "even": [n % 2 == 0 for n in numbers]}))
