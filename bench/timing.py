# SPDX-License-Identifier: Apache-2.0
"""Does the time of a refused login tell whether the address has an account? Pairs of refusals, in
random order within each pair, judged by Welch's t over all of them and over the undisturbed ones."""
import json
import random
import secrets
import socket
import statistics
import time

import clients

PAIRS = 10000
T_MAX = 4.5          # beyond it the two are told apart (the bound of TVLA, ISO/IEC 17825)
UNDISTURBED = 0.9    # the faster part of all samples: what the machine did not interrupt


class Line:
    """One kept connection; a request's time is from its last byte sent to its answer's last read."""

    def __init__(self, target, anon):
        host, port = target.split(':')
        self.sock = socket.create_connection((host, int(port)))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.head = ('POST /auth/v1/token?grant_type=password HTTP/1.1\r\nHost: %s\r\napikey: %s\r\n'
                     'Content-Type: application/json\r\nContent-Length: %%d\r\n\r\n' % (target, anon))

    def refused_us(self, email, password):
        body = json.dumps({'email': email, 'password': password})
        self.sock.sendall((self.head % len(body) + body).encode())
        from_ns, answer = time.perf_counter_ns(), b''
        while b'\r\n\r\n' not in answer or b'}' not in answer.split(b'\r\n\r\n', 1)[1]:
            answer += self.sock.recv(65536)
        took = (time.perf_counter_ns() - from_ns) / 1000
        if not answer.startswith(b'HTTP/1.1 400'):
            raise RuntimeError('a wrong password was answered with ' + answer[:200].decode())
        return took


def welch(a, b):
    spread = statistics.variance(a) / len(a) + statistics.variance(b) / len(b)
    return abs(statistics.fmean(a) - statistics.fmean(b)) / spread ** 0.5


def undisturbed(a, b):
    limit = sorted(a + b)[int(UNDISTURBED * (len(a) + len(b)))]
    return [v for v in a if v <= limit], [v for v in b if v <= limit]


def timing(b):
    """An account with a password against none, and an account without a password against none."""
    pairs = 100 if b.quick else PAIRS
    b.report.title('Refused logins, %d pairs: does the time tell who has an account?' % pairs)
    with b.basalt(rate_limits='off') as basalt:
        emails = [row[0] for row in clients.insert(basalt, 200)]
        known, bare = emails[:100], emails[100:]
        basalt.sql("update auth.users set encrypted_password = '' where email in (%s)"
                   % ', '.join("'%s'" % email for email in bare))
        line = Line(basalt.target, basalt.anon)
        for name, accounts, count in (('with a password', known, pairs),
                                      ('without a password', bare, pairs // 5)):
            judge(b, name, *sample(line, accounts, count))


def sample(line, accounts, pairs):
    times = {True: [], False: []}
    for _ in range(pairs):
        email = random.choice(accounts)
        stranger = secrets.token_hex(len(email))[:len(email.split('@')[0])] + '@' + email.split('@')[1]
        order = [True, False]
        random.shuffle(order)
        for has_account in order:
            times[has_account].append(line.refused_us(email if has_account else stranger,
                                                      secrets.token_urlsafe(12)))
    return times[True], times[False]


def judge(b, name, with_account, without):
    t = max(welch(with_account, without), welch(*undisturbed(with_account, without)))
    b.report.add('refused login, account %s against none: t' % name, t, '', most=T_MAX,
                 note='medians %.0f and %.0f µs' % (statistics.median(with_account),
                                                    statistics.median(without)))
