# SPDX-License-Identifier: Apache-2.0
"""The servers that are measured: a Basalt on a scratch folder, and nginx. Stopped by their own pid."""
import contextlib
import glob
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

READY_S = 60
STOP_S = 60


class Failed(Exception):
    """A sentence for the user."""


def scratch(folder=None):
    """A folder that a server which drops root's rights can reach."""
    path = tempfile.mkdtemp(prefix='basalt-bench-', dir=folder or os.environ.get('TMPDIR', '/var/tmp'))
    os.chmod(path, 0o755)
    return path


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def postgres_program(name):
    found = shutil.which(name)
    newest = sorted(glob.glob('/usr/lib/postgresql/*/bin/' + name),
                    key=lambda p: int(p.split('/')[4]) if p.split('/')[4].isdigit() else 0)
    if not found and not newest:
        raise Failed('%s is missing: ./dev deps run' % name)
    return found or newest[-1]


# Limits are at work, and so wide that one address and a few accounts may do all the load.
WIDE_LIMITS = {'rate_limits': 'on', **{'rate_limit_' + name: '1000000/1s' for name in (
    'token', 'otp', 'verify', 'account', 'address', 'user', 'resource')}}


class Basalt:
    """The real program with its private PostgreSQL; request log on, to a file."""

    def __init__(self, binary, home, **settings):
        self.binary, self.home = binary, home
        self.data = os.path.join(home, 'data')
        self.log_path = os.path.join(home, 'log')
        self.settings = {**WIDE_LIMITS, 'listen': '127.0.0.1:0', 'admin_listen': '127.0.0.1:0',
                         **settings}
        self.process = None

    def environment(self):
        env = {name: os.environ[name] for name in ('PATH', 'HOME', 'LC_ALL') if name in os.environ}
        env.update({'BASALT_' + k.upper(): str(v) for k, v in self.settings.items()})
        return env

    def spawn(self):
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(
                [self.binary, 'serve', '--data', self.data], cwd=self.home, env=self.environment(),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        return self

    def wait_ready(self):
        for line in self.process.stdout:
            if line.startswith('ready '):
                self.read_status()
                return self
        raise Failed('the server did not start: see %s' % self.log_path)

    def start(self):
        return self.spawn().wait_ready()

    def command(self, *args):
        return subprocess.run([self.binary, *args, '--data', self.data], cwd=self.home, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=STOP_S,
                              env={'PATH': os.environ['PATH']}, check=True).stdout

    def read_status(self):
        self.status = json.loads(self.command('status', '-o', 'json'))
        self.url = self.status['API_URL']
        self.anon = self.status['ANON_KEY']
        self.service = self.status['SERVICE_ROLE_KEY']
        with open(os.path.join(self.data, 'pg/postmaster.pid'), encoding='utf-8') as f:
            self.postgres = int(f.readline())
        self.pid = self.process.pid

    @property
    def target(self):
        return self.url.removeprefix('http://')

    def auth_conninfo(self):
        """How the server itself logs in for accounts, for a client without the server."""
        secrets = {}
        with open(os.path.join(self.data, 'secrets.env'), encoding='utf-8') as f:
            for line in f:
                name, _, value = line.strip().partition('=')
                secrets[name] = value.strip('"')
        return self.status['DB_URL'].replace(
            'postgres:' + secrets['DB_POSTGRES_PASSWORD'],
            'supabase_auth_admin:' + secrets['DB_AUTH_PASSWORD'])

    def sql(self, text, url=None):
        done = subprocess.run([postgres_program('psql'), '-XqAt', '-v', 'ON_ERROR_STOP=1',
                               url or self.status['DB_URL']], input=text, text=True, capture_output=True)
        if done.returncode:
            raise Failed('psql: ' + done.stderr.strip())
        return done.stdout

    def log_lines_dropped(self):
        """What the request log says of lines that it had no room for."""
        with open(self.log_path, encoding='utf-8') as f:
            return sum(json.loads(line)['lines'] for line in f if '"log.dropped"' in line)

    def metric(self, name, way=None):
        """A value of /metrics; with `way` the one of that label."""
        _, _, body = request(self.status['ADMIN_URL'].removeprefix('http://'), 'GET', '/metrics')
        wanted = name + ('{way="%s"} ' % way if way else ' ')
        return next(float(line[len(wanted):]) for line in body.decode().splitlines() if line.startswith(wanted))

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(STOP_S)
        if self.process:
            self.process.stdout.close()


@contextlib.contextmanager
def basalt(binary, folder=None, keep=False, **settings):
    home = scratch(folder)
    server = Basalt(binary, home, **settings)
    try:
        yield server.start()
    finally:
        server.stop()
        if not keep:
            shutil.rmtree(home, ignore_errors=True)


# ---- nginx ------------------------------------------------------------------------------------

NGINX = '''
worker_processes %(workers)d;
daemon off;
pid %(home)s/nginx.pid;
error_log %(home)s/error.log crit;
events { worker_connections 4096; }
http {
    access_log off;
    server_tokens off;
    keepalive_timeout 75;
    keepalive_requests 1000000000;
    client_body_temp_path %(home)s; proxy_temp_path %(home)s; fastcgi_temp_path %(home)s;
    uwsgi_temp_path %(home)s; scgi_temp_path %(home)s;
    server {
        listen 127.0.0.1:%(port)d reuseport;
        location / {
            default_type application/json;
%(headers)s
            return 200 '%(body)s';
        }
    }
}
'''


@contextlib.contextmanager
def nginx(headers, body, workers):
    """nginx that answers everything with these headers and this body, from memory, without a log."""
    program = shutil.which('nginx') or '/usr/sbin/nginx'
    if not os.path.exists(program):
        raise Failed('nginx is missing: ./dev deps bench')
    home, port = scratch(), free_port()
    quoted = {k: v.replace('\\', '\\\\').replace("'", "\\'").replace('$', '') for k, v in headers}
    lines = ["            add_header %s '%s';" % row for row in quoted.items()]
    with open(os.path.join(home, 'nginx.conf'), 'w', encoding='utf-8') as f:
        f.write(NGINX % {'workers': workers, 'home': home, 'port': port, 'headers': '\n'.join(lines),
                         'body': body.replace('\\', '\\\\').replace("'", "\\'")})
    process = subprocess.Popen([program, '-p', home, '-e', os.path.join(home, 'error.log'), '-c',
                                os.path.join(home, 'nginx.conf')], stdin=subprocess.DEVNULL)
    try:
        wait_http('127.0.0.1:%d' % port, '/')
        yield process.pid, '127.0.0.1:%d' % port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_S)
        shutil.rmtree(home, ignore_errors=True)


# ---- asking -----------------------------------------------------------------------------------

def request(target, method, path, headers=None, body=None, timeout=30):
    """(status, headers, bytes) over a connection of its own."""
    connection = http.client.HTTPConnection(target, timeout=timeout)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()
    finally:
        connection.close()


def wait_http(target, path, deadline_s=READY_S):
    """Until it answers 200; the seconds that took."""
    from_s = time.monotonic()
    while time.monotonic() - from_s < deadline_s:
        try:
            if request(target, 'GET', path, timeout=5)[0] == 200:
                return time.monotonic() - from_s
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.002)
    raise Failed('%s%s did not answer within %d s' % (target, path, deadline_s))
