# SPDX-License-Identifier: Apache-2.0
"""How much of what is asked comes from memory while users change, and how old it may be: Node's
clients on two nodes of one PostgreSQL (tests/lib/zipf.mjs)."""
import glob
import json
import os
import subprocess

import report
from servers import Failed

USERS, REQUESTS = 10000, 100000


def caches(b):
    users, requests = (1000, 10000) if b.quick else (USERS, REQUESTS)
    b.report.title('GET /auth/v1/user on two nodes: %d users (Zipf 1.0), %d requests, 1 %% of them '
                   'change a role' % (users, requests))
    node = glob.glob(os.path.join(report.TOP, 'node_modules/node-linux-*/bin/node'))
    if not node:
        raise Failed('the tests\' Node is not installed: run ./dev deps test')
    done = subprocess.run([node[0], 'bench/caches.mjs', str(users), str(requests)], cwd=report.TOP,
                          env={**os.environ, 'DEV_BINARY': b.args.binary}, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=1800)
    lines = [line for line in done.stdout.splitlines() if line.startswith(('found ', '# found '))]
    if done.returncode or not lines:
        raise Failed('bench/caches.mjs: ' + done.stdout[-2000:])
    found = json.loads(lines[0][lines[0].index('{'):])
    b.report.keep('caches', found)
    b.report.add('caches: answers from memory', found['hitRatio'] * 100, '%', least=95)
    b.report.add('caches: age of the oldest answer', found['oldestMs'], 'ms', most=100,
                 note='%d of %d were out of date, after %d changes' % (
                     found['outdated'], found['requests'], found['changes']))
