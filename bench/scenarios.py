# SPDX-License-Identifier: Apache-2.0
"""What is measured, one function a name. Comparisons run in interleaved rounds (A B A B …) and are
judged by the median of the rounds' ratios, since the machine's speed drifts between rounds."""
import concurrent.futures
import os
import shutil
import socket
import subprocess
import time

import clients
import machine
import servers
from audit import audit
from caches import caches
from report import median
from sessions import sessions
from timing import timing

TOKENS = 10000       # distinct tokens of GET /auth/v1/user
CONNECTIONS = 64     # of a closed loop
POOL = max(8, 2 * machine.CORES)  # the server's own default: the bare client gets as many
MEMORY_DISK = '/dev/shm'
HASHED = ('login', 'signup')


class Bench:
    """What every scenario needs."""

    def __init__(self, args, generator, report):
        self.args, self.generator, self.report = args, generator, report
        self.quick = args.quick

    def seconds(self, full):
        return 1 if self.quick else full

    def basalt(self, **more):
        return servers.basalt(self.args.binary, **more)

    def rounds(self, **sides):
        """Runs each side once a round; name -> its results."""
        results = {name: [] for name in sides}
        for _ in range(self.args.rounds):
            for name, side in sides.items():
                results[name].append(side())
        return results

    def noise(self, results):
        """What others took of the machine: a run beside other work says less."""
        cores = [r['cpu']['others_cores'] + r['cpu']['steal_cores'] for r in results if 'cpu' in r]
        if cores and max(cores) > 0.1:
            return 'others took %.2f cores' % median(cores)
        return ''


def each(results, tree):
    """CPU of a tree, microseconds an answer, by round."""
    return [r['cpu'][tree] / max(1, r['answered']) * 1e6 for r in results]


def ratio(ours, theirs):
    return median([a['per_s'] / b['per_s'] for a, b in zip(ours, theirs)])


def no_errors(report, what, results):
    report.add('%s: errors' % what, sum(r['errors'] for r in results), '', most=0)


# ---- GET /auth/v1/user against nginx ---------------------------------------------------------

OF_NGINX_ITSELF = {'date', 'connection', 'content-length', 'content-type', 'server'}


def user(b):
    b.report.title('GET /auth/v1/user, %d tokens, %d connections, request log on and to a file; '
                   'nginx: the same bytes from memory, no log' % (TOKENS, CONNECTIONS))
    with b.basalt() as basalt:
        rows = clients.insert(basalt, TOKENS)
        people, keys = b.generator.clients_file(rows), {'apikey': basalt.anon}
        status, headers, body = servers.request(
            basalt.target, 'GET', '/auth/v1/user',
            {'apikey': basalt.anon, 'Authorization': 'Bearer ' + rows[0][2]})
        if status != 200:
            raise servers.Failed('GET /auth/v1/user: %d %s' % (status, body[:200]))
        same = [h for h in headers if h[0].lower() not in OF_NGINX_ITSELF]
        with servers.nginx(same, body.decode(), machine.CORES) as (nginx, target):
            compare_user(b, basalt, nginx, target, people, keys)


def compare_user(b, basalt, nginx, target, people, keys):
    mix = b.generator.mix_file('user')

    def closed(where, **roots):
        return b.generator.run(where, mix, people, keys, machine.Meter(**roots), warmup=b.seconds(2),
                               seconds=b.seconds(4), connections=CONNECTIONS)

    got = b.rounds(basalt=lambda: closed(basalt.target, server=basalt.pid, postgres=basalt.postgres),
                   nginx=lambda: closed(target, nginx=nginx))
    ours, theirs = got['basalt'], got['nginx']
    b.report.keep('user', got)
    add, note = b.report.add, b.noise(ours + theirs)
    add('user: of nginx\'s throughput', ratio(ours, theirs), 'x', least=0.8, note=note)
    add('user: server CPU a request', median(each(ours, 'server')), 'µs', most=12)
    add('user: PostgreSQL CPU a request', median(each(ours, 'postgres')), 'µs')
    add('user: nginx CPU a request', median(each(theirs, 'nginx')), 'µs')
    add('user: requests a second', median([r['per_s'] for r in ours]), '/s')
    add('user: nginx requests a second', median([r['per_s'] for r in theirs]), '/s')
    add('user: bytes an answer', median([r['bytes'] / r['answered'] for r in ours]), 'B',
        note='nginx %.0f' % median([r['bytes'] / r['answered'] for r in theirs]))
    add('user: log lines dropped', basalt.log_lines_dropped(), '',
        note='of %d' % sum(r['answered'] for r in ours))
    no_errors(b.report, 'user', ours)


# ---- a login against its hash ------------------------------------------------------------------

def login(b):
    b.report.title('Password login, one at a time, against the bare hash')
    count = 10 if b.quick else 40
    with b.basalt() as basalt:
        people = b.generator.clients_file(clients.insert(basalt, 1))
        mix = b.generator.mix_file('login')
        got = b.rounds(
            hash=lambda: b.generator.json_of('bare_hash', count),
            login=lambda: b.generator.run(basalt.target, mix, people, {'apikey': basalt.anon},
                                          machine.Meter(server=basalt.pid, postgres=basalt.postgres),
                                          connections=1, requests=count, seconds=60))
    b.report.keep('login', got)
    hashes = [r['ms']['p50'] for r in got['hash']]
    logins = [r['kinds']['login']['latency_ms']['p50'] for r in got['login']]
    over = median([ours - 1.05 * bare for ours, bare in zip(logins, hashes)])
    b.report.add('login: median', median(logins), 'ms', note=b.noise(got['login']))
    b.report.add('login: the bare hash', median(hashes), 'ms')
    b.report.add('login: over 1.05 x the hash', over, 'ms', most=2)
    no_errors(b.report, 'login', got['login'])


# ---- a signup without its hash against a bare client ---------------------------------------------

def signup(b):
    folders = [(None, 'disk')] + [(MEMORY_DISK, 'tmpfs')] * os.path.isdir(MEMORY_DISK)
    for folder, where in folders:
        b.report.title('Signup without the hash (admin create with password_hash, 16 connections) '
                       'against a bare libpq client with the same inserts, on %s' % where)
        with b.basalt(folder=folder) as basalt:
            compare_signup(b, basalt, where)


def compare_signup(b, basalt, where):
    people = b.generator.clients_file(clients.insert(basalt, 16))
    mix, keys = b.generator.mix_file('import'), {'servicekey': basalt.service}
    meter = machine.Meter(server=basalt.pid, postgres=basalt.postgres)

    def bare():
        meter.start()
        result = b.generator.json_of('bare_signup', basalt.auth_conninfo(), POOL, b.seconds(4))
        return {**result, 'cpu': meter.stop(result['client_cpu_s'])}

    def served():
        return b.generator.run(basalt.target, mix, people, keys, meter, connections=16,
                               warmup=0.5, seconds=b.seconds(4))

    bare()
    got = b.rounds(basalt=served, bare=bare)
    b.report.keep('signup ' + where, got)
    ours, theirs = got['basalt'], got['bare']
    add, name = b.report.add, 'signup on ' + where
    add(name + ': of the bare client\'s rate', ratio(ours, theirs), 'x', least=0.8,
        note=b.noise(ours + theirs))
    add(name + ': users a second', median([r['per_s'] for r in ours]), '/s')
    add(name + ': bare users a second', median([r['per_s'] for r in theirs]), '/s')
    add(name + ': server CPU', median(each(ours, 'server')), 'µs')
    add(name + ': PostgreSQL CPU', median(each(ours, 'postgres')), 'µs')
    add(name + ': PostgreSQL CPU for the bare client', median(each(theirs, 'postgres')), 'µs')
    no_errors(b.report, name, ours)


# ---- CPU of each kind of request -----------------------------------------------------------------

def cpu(b):
    b.report.title('CPU a request, each kind alone in a closed loop')
    kinds = ['user', 'refresh', 'me', 'login', 'signup']
    with b.basalt() as basalt:
        people = clients.insert(basalt, 1000)
        for kind in kinds:
            others = [k for k in kinds if k != kind]
            few = kind in HASHED
            meter = machine.Meter(server=basalt.pid, postgres=basalt.postgres)
            result = b.generator.run(
                basalt.target, b.generator.mix_file('traffic', others),
                b.generator.clients_file(people), {'apikey': basalt.anon}, meter,
                connections=4 if few else 16, warmup=b.seconds(1), seconds=b.seconds(4))
            b.report.keep('cpu ' + kind, result)
            show_cpu(b, kind, result)


def show_cpu(b, kind, result):
    server, postgres = each([result], 'server')[0], each([result], 'postgres')[0]
    hashed = ', the hash included' if kind in HASHED else ''
    b.report.add('%s: server CPU' % kind, server, 'µs', note=b.noise([result]) or hashed[2:])
    b.report.add('%s: PostgreSQL CPU' % kind, postgres, 'µs',
                 note='%.0f a second, p99 %.1f ms' % (
                     result['per_s'], result['kinds'][kind]['latency_ms']['p99']))
    no_errors(b.report, kind, [result])


# ---- memory --------------------------------------------------------------------------------------

def memory(b):
    b.report.title('Memory')
    add = b.report.add
    with b.basalt() as basalt:
        time.sleep(3)
        rss, private = machine.memory_mib(basalt.pid)
        add('memory: idle after start, RSS', rss, 'MiB', note='private %.1f' % private)
        add('memory: private PostgreSQL idle, PSS', machine.pss_mib(basalt.postgres), 'MiB', most=60)
        people = b.generator.clients_file(clients.insert(basalt, 1000))
        result = b.generator.run(basalt.target, b.generator.mix_file('traffic'), people,
                                 {'apikey': basalt.anon}, connections=1000, rate=400,
                                 seconds=b.seconds(20))
        no_errors(b.report, 'memory: the traffic', [result])
        time.sleep(3)
        rss, private = machine.memory_mib(basalt.pid)
        add('memory: 3 s after traffic with logins, RSS', rss, 'MiB', most=14)
        add('memory: 3 s after traffic with logins, private', private, 'MiB', most=5)
        add('memory: private PostgreSQL then, PSS', machine.pss_mib(basalt.postgres), 'MiB')
        idle = connections_open(basalt.target, 1000)
        more, _ = machine.memory_mib(basalt.pid)
        add('memory: 1,000 idle connections, RSS more', more - rss, 'MiB', most=40)
        for s in idle:
            s.close()


def connections_open(target, count):
    """Keep-alive connections that have each been answered once."""
    host, _, port = target.partition(':')
    ask = ('GET /auth/v1/health HTTP/1.1\r\nHost: %s\r\n\r\n' % target).encode()
    out = []
    for _ in range(count):
        s = socket.create_connection((host, int(port)), timeout=30)
        s.sendall(ask)
        if not s.recv(4096).startswith(b'HTTP/1.1 200'):
            raise servers.Failed('an idle connection was refused')
        out.append(s)
    return out


# ---- start ---------------------------------------------------------------------------------------

def start(b):
    b.report.title('Start, from the command to the first 200')
    first, warm = [], []
    for _ in range(min(b.args.rounds, 3)):
        home, port = servers.scratch(), servers.free_port()
        server = servers.Basalt(b.args.binary, home, listen='127.0.0.1:%d' % port)
        try:
            for times in [first] + [warm] * 3:
                began = time.monotonic()
                server.spawn()
                servers.wait_http('127.0.0.1:%d' % port, '/auth/v1/health')
                times.append((time.monotonic() - began) * 1000)
                server.wait_ready()
                server.stop()
        finally:
            server.stop()
            shutil.rmtree(home, ignore_errors=True)
    b.report.keep('start', {'first': first, 'warm': warm})
    b.report.add('start: first, on an empty folder', median(first), 'ms', most=2000,
                 note='worst %.0f' % max(first))
    b.report.add('start: warm', median(warm), 'ms', most=250, note='worst %.0f' % max(warm))


# ---- others while some are slow ---------------------------------------------------------------------

READS = ('refresh', 'login', 'signup')  # what to leave out of the traffic for reads to remain
SLOW = '''
create function public.bench_slow() returns trigger language plpgsql as
    $$ begin if new.name = 'slow' then perform pg_sleep(5); end if; return new; end $$;
create trigger bench_slow before insert on public.profiles
    for each row execute function public.bench_slow();
'''


def crowd(b):
    b.report.title('Reads (user and me, 200 a second) beside 500 logins in flight, and beside a '
                   '5 s query per loop')
    with b.basalt(loops=2, pool_size=8) as basalt:
        crowd = Crowd(b, basalt)
        crowd.logins()
        basalt.sql(SLOW)
        crowd.queries()


class Crowd:
    def __init__(self, b, basalt):
        self.b, self.basalt, self.g = b, basalt, b.generator
        rows = clients.insert(basalt, 600)
        self.readers = self.g.clients_file(rows[500:])
        self.crowd = self.g.clients_file(rows[:500])
        self.keys = {'apikey': basalt.anon}
        self.reads()  # warm

    def reads(self, seconds=2.5):
        result = self.g.run(self.basalt.target, self.g.mix_file('traffic', READS), self.readers,
                            self.keys, machine.Meter(server=self.basalt.pid), connections=100,
                            rate=200, seconds=seconds)
        self.b.report.keep('crowd', result)
        return result

    def beside(self, work):
        """The reads while work() goes on; both results."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            other = pool.submit(work)
            time.sleep(0.2)  # it has begun
            return self.reads(), other.result()

    def judge(self, what, idle, busy):
        p99 = {name: [max(k['latency_ms']['p99'] for k in r['kinds'].values()) for r in results]
               for name, results in (('idle', idle), ('busy', busy))}
        self.b.report.add('reads beside %s: p99 of that without' % what,
                          median(p99['busy']) / median(p99['idle']), 'x', most=2,
                          note='%.2f ms, without %.2f ms' % (median(p99['busy']),
                                                             median(p99['idle'])))
        no_errors(self.b.report, 'reads beside ' + what, idle + busy)

    def logins(self):
        add, idle, busy, floods, hashes = self.b.report.add, [], [], [], []
        for _ in range(self.b.args.rounds):
            hashes.append(self.g.json_of('bare_hash', 20)['ms']['p50'])
            idle.append(self.reads())
            reads, flood = self.beside(lambda: self.g.run(
                self.basalt.target, self.g.mix_file('login'), self.crowd, self.keys,
                connections=500, requests=500, seconds=30, quiet=True))
            busy.append(reads)
            floods.append(flood)
        self.judge('500 logins', idle, busy)
        kinds = [f['kinds']['login'] for f in floods]
        add('of 500 logins at once: refused within, worst',
            max(k['refused_ms']['max'] for k in kinds), 'ms', most=50,
            note='%d refused' % median([k['errors'] for k in kinds]))
        threads = max(1, machine.CORES - 1)
        rates = [k['count'] * bare / 1000 / f['seconds'] / threads
                 for k, f, bare in zip(kinds, floods, hashes)]
        add('of 500 logins at once: of what the hash threads can do', median(rates), 'x', least=0.9,
            note='%d accepted' % median([k['count'] for k in kinds]))

    def queries(self):
        slow = {'apikey': self.basalt.service, 'Authorization': 'Bearer ' + self.basalt.service}

        def query(i):
            return servers.request(self.basalt.target, 'POST', '/auth/v1/admin/users', slow, {
                'email': 'slow-%d-%d@bench.example' % (time.monotonic_ns(), i),
                'password': 'irrelevant here', 'user_metadata': {'name': 'slow'}})[0]

        idle, busy = [], []
        for _ in range(self.b.args.rounds):
            idle.append(self.reads())
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                both = [pool.submit(query, i) for i in range(2)]
                time.sleep(0.5)  # past their hashes
                busy.append(self.reads())
                statuses = [q.result() for q in both]
            if statuses != [200, 200]:
                raise servers.Failed('the slow queries answered %s' % statuses)
        self.judge('a 5 s query per loop', idle, busy)


# ---- the load of acceptance ------------------------------------------------------------------------

def load(b):
    if b.args.url:
        load_on(b, b.args.url.split('//')[-1].rstrip('/'), b.args.anon_key, None)
        return
    with b.basalt() as basalt:
        load_on(b, basalt.target, basalt.anon,
                machine.Meter(server=basalt.pid, postgres=basalt.postgres))


def load_on(b, target, key, meter):
    args = b.args
    users = min(args.users, 100) if b.quick else args.users
    b.report.title('%d users with a connection each, open loop, %g requests a second for %g s; '
                   'latency from the intended time' % (users, args.rate, args.seconds))
    rows, ids = clients.sign_up(target, key, users, lambda text: print('  ' + text, flush=True))
    try:
        people, keys = b.generator.clients_file(rows), {'apikey': key}
        open_loop(b, target, people, keys, meter, users)
        alone(b, target, people, keys)
        saturation(b, target, people, keys, meter, users)
    finally:
        if args.url and args.service_key:
            clean_up(target, args.service_key, rows[0][0].split('-')[1], ids)


def open_loop(b, target, people, keys, meter, users):
    result = b.generator.run(target, b.generator.mix_file('traffic'), people, keys, meter,
                             connections=users, rate=b.args.rate, seconds=b.args.seconds,
                             save=True)
    b.report.keep('load', result)
    no_errors(b.report, 'load', [result])
    for kind, k in result['kinds'].items():
        ms = k['latency_ms']
        most = 50 if kind == 'user' else None if kind in HASHED else 75
        b.report.add('load: %s, p99' % kind, ms['p99'], 'ms', most=most,
                     note='%d, median %.2f, p99.9 %.1f, worst %.1f' % (
                         k['count'], ms['p50'], ms['p999'], ms['max']))
    b.report.add('load: the generator itself was late, p99', result['generator_late_ms']['p99'],
                 'ms', note=b.noise([result]) if meter else '')
    if meter:
        seconds = result['seconds']
        b.report.add('load: server', result['cpu']['server'] / seconds, 'cores',
                     note='PostgreSQL %.2f, hashes included' % (result['cpu']['postgres'] / seconds))


def alone(b, target, people, keys):
    for kind in HASHED:
        result = b.generator.run(target, b.generator.mix_file(kind), people, keys, connections=1,
                                 requests=20 if b.quick else 200, seconds=120, save=True)
        b.report.keep('alone', result)
        ms = result['kinds'][kind]['latency_ms']
        b.report.add('load: %s alone, hash included, p99' % kind, ms['p99'], 'ms', most=75,
                     note='median %.1f, worst %.1f' % (ms['p50'], ms['max']))
        no_errors(b.report, kind + ' alone', [result])


def saturation(b, target, people, keys, meter, users):
    for without, what in ((HASHED, 'without hashes'), ((), 'whole mix, bound by hashes')):
        result = b.generator.run(target, b.generator.mix_file('traffic', without), people, keys,
                                 meter, connections=min(users, CONNECTIONS),
                                 warmup=b.seconds(2), seconds=b.seconds(10), save=True)
        b.report.keep('saturation', result)
        ms = result['kinds']['user']['latency_ms']
        b.report.add('saturation, %s' % what, result['per_s'], '/s',
                     note='%d connections, user p99 %.1f ms, %d errors' % (
                         result['connections'], ms['p99'], result['errors']))


def clean_up(target, service_key, prefix, ids):
    keys = {'apikey': service_key, 'Authorization': 'Bearer ' + service_key}
    for user_id in ids:
        servers.request(target, 'DELETE', '/auth/v1/admin/users/' + user_id, keys)
    print('  the %d users of bench-%s are deleted; those that its sign-ups made are called '
          'r…@bench.example' % (len(ids), prefix))


# ---- hours of load (./dev soak) ---------------------------------------------------------------------

def hours(b):
    """The load's mix at a third of its rate for as long as --seconds says: no error, and memory
    that stays where it was after the first tenth."""
    users, rate, parts = 300, 300, 10
    b.report.title('Soak: %d requests a second for %.1f hours' % (rate, b.args.seconds / 3600))
    errors, answered, sizes = 0, 0, []
    with b.basalt(log_requests='false') as basalt:
        people = b.generator.clients_file(clients.sign_up(basalt.target, basalt.anon, users)[0])
        for part in range(parts):
            result = b.generator.run(basalt.target, b.generator.mix_file('traffic'), people,
                                     {'apikey': basalt.anon}, connections=users, rate=rate,
                                     seconds=b.args.seconds / parts, save=True)
            errors, answered = errors + result['errors'], answered + result['answered']
            time.sleep(3)  # caches are given back, so that what stays is what would leak
            sizes.append((machine.memory_mib(basalt.pid)[0], machine.pss_mib(basalt.postgres)))
            b.report.keep('hours', {**result, 'server_mib': sizes[-1][0],
                                    'postgres_mib': sizes[-1][1]})
            print('  %d of %d: %d answers, user p99 %.1f ms, server %.1f MiB, PostgreSQL %.1f MiB' % (
                part + 1, parts, answered, result['kinds']['user']['latency_ms']['p99'],
                *sizes[-1]), flush=True)
        dropped = basalt.log_lines_dropped()
    b.report.add('soak: answers', answered, '')
    b.report.add('soak: errors', errors, '', most=0)
    b.report.add('soak: log lines dropped', dropped, '', most=0)
    b.report.add('soak: server RSS more than at first', sizes[-1][0] - sizes[0][0], 'MiB', most=4)
    b.report.add('soak: PostgreSQL PSS more than at first', sizes[-1][1] - sizes[0][1], 'MiB')


ALL = {'user': user, 'login': login, 'signup': signup, 'cpu': cpu, 'memory': memory, 'start': start,
       'crowd': crowd, 'load': load, 'timing': timing, 'caches': caches, 'sessions': sessions,
       'audit': audit}
ASKED_FOR = {'hours': hours}  # takes long, so only by name
