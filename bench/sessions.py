# SPDX-License-Identifier: Apache-2.0
"""Where sessions could be kept (docs/decisions/0009-sessions.md): who is behind a token, asked of a real
Redis, of PostgreSQL, and of the server's own cache, in CPU and time."""
import concurrent.futures
import json
import os
import shutil
import subprocess
import tempfile
import time

import clients
import machine
from servers import Failed

TOKENS = 10000


def redis_start(folder):
    program = shutil.which('redis-server') or shutil.which('valkey-server')
    if not program:
        raise Failed('there is no Redis: run ./dev deps bench')
    socket = os.path.join(folder, 'redis.sock')
    process = subprocess.Popen([program, '--port', '0', '--unixsocket', socket, '--save', '',
                                '--appendonly', 'no', '--dir', folder], stdout=subprocess.DEVNULL)
    for _ in range(500):
        if os.path.exists(socket):
            return process, socket
        time.sleep(0.01)
    raise Failed('Redis did not start')


def asked(b, where, address, count, root):
    """One run of bare_sessions: its results and the CPU of what it asks, µs an answer."""
    before = machine.cpu_s(root)
    done = subprocess.run([os.path.join(b.args.build, 'bench/bare_sessions'), where, address, str(count)],
                          text=True, stdout=subprocess.PIPE, check=True)
    result = json.loads(done.stdout)
    result['store_us'] = (machine.cpu_s(root) - before) / max(1, count) * 1e6
    result['client_us'] = result['client_cpu_s'] / max(1, count) * 1e6
    b.report.keep('sessions ' + where, result)
    return result


def layer_7(server):
    """Sum, µs, and count of the times of layer 7, the cached check of user and session."""
    text = subprocess.run(['curl', '-s', server.status['ADMIN_URL'] + '/metrics'], text=True,
                          stdout=subprocess.PIPE, check=True).stdout
    found = {}
    for line in text.splitlines():
        if line.startswith('basalt_layer_seconds_') and 'performance_optimization_layer' in line:
            found[line.split('{')[0].rsplit('_', 1)[1]] = float(line.rsplit(' ', 1)[1])
    return found['sum'] * 1e6, found['count']


def cached_us(b, server, people):
    """Mean time of layer 7 in the second half of a load, when everybody is remembered."""
    half = 2 if b.quick else 5
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        load = pool.submit(b.generator.run, server.target, b.generator.mix_file('user'), people,
                           {'apikey': server.anon}, connections=16, seconds=2 * half)
        time.sleep(half)
        first = layer_7(server)
        time.sleep(half * 0.9)
        last = layer_7(server)
        load.result()
    return (last[0] - first[0]) / (last[1] - first[1])


def show(b, name, result):
    b.report.add('%s: CPU of who asks' % name, result['client_us'], 'µs')
    b.report.add('%s: CPU of who answers' % name, result['store_us'], 'µs')
    b.report.add('%s: time, median' % name, result['latency_ms']['p50'] * 1000, 'µs')
    b.report.add('%s: time, p99' % name, result['latency_ms']['p99'] * 1000, 'µs')


def sessions(b):
    count = 5000 if b.quick else 100000
    b.report.title('Who is behind a token: %d sessions, one question at a time over a Unix socket'
                   % TOKENS)
    with tempfile.TemporaryDirectory() as folder, b.basalt() as basalt:
        rows = clients.insert(basalt, TOKENS)
        redis, socket = redis_start(folder)
        try:
            asked(b, 'redis', socket, 0, redis.pid)
            show(b, 'Redis GET', asked(b, 'redis', socket, count, redis.pid))
        finally:
            redis.terminate()
            redis.wait()
        show(b, 'PostgreSQL', asked(b, 'postgres', basalt.auth_conninfo(), count, basalt.postgres))
        people = b.generator.clients_file(rows)
        b.report.add('our cache: time and CPU', cached_us(b, basalt, people), 'µs', most=5,
                     note='mean of layer 7 over GET /auth/v1/user')
