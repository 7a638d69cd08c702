"""`python -m bench.bare COUNT`: the loop that only sends texts, the limit of who keeps books too.

It has the service's own transport, connections and number of threads.
"""

import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import people
from followup.bootstrap import make_transports, open_service
from followup.config import read_settings
from followup.domain.cadence import Channel
from followup.services.sending import BATCH
from followup.transports.base import Outgoing

#: As long as a reminder's.
TEXT = "Harbor Light Wellness: Lead K7Q4 has waited 2 hours. http://127.0.0.1:8000/act/" + "x" * 90


def main(count: int) -> None:
    transport = make_transports(open_service(read_settings(Path(".env"))))[Channel.sms]
    print("ready", flush=True)
    messages = (
        Outgoing(delivery_id=uuid.uuid4(), to=people.phone_of(number), text=TEXT)
        for number in range(count)
    )
    with ThreadPoolExecutor(BATCH) as threads:
        for _ in threads.map(transport.send, messages):
            pass


if __name__ == "__main__":
    main(int(sys.argv[1]))
