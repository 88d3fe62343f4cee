# SPDX-License-Identifier: Apache-2.0
"""Users with tokens for a load: over HTTP for any server, or by SQL for a scratch one."""
import base64
import concurrent.futures
import hashlib
import hmac
import http.client
import json
import secrets
import threading
import time
import uuid

from servers import Failed

COLUMNS = ['email', 'password', 'token', 'refresh']


def write(path, rows):
    with open(path, 'w', encoding='utf-8') as f:
        f.write('\t'.join(COLUMNS) + '\n')
        for row in rows:
            f.write('\t'.join(row) + '\n')


# ---- over HTTP ----------------------------------------------------------------------------------

class Caller(threading.local):
    """A connection a thread."""

    def __init__(self, target):
        super().__init__()
        self.target = target
        self.connection = None

    def post(self, path, headers, body):
        for attempt in range(30):
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.target, timeout=60)
            try:
                self.connection.request('POST', path, json.dumps(body), headers)
                answer = self.connection.getresponse()
                data = answer.read()
            except (OSError, http.client.HTTPException):
                self.connection = None
                continue
            if answer.status != 429 and answer.status != 503:
                return answer.status, data
            time.sleep(0.1 * (attempt + 1))  # it is busy with hashes and says so
        raise Failed('%s%s stays busy' % (self.target, path))


def sign_up(target, anon_key, count, say=lambda text: None):
    """Signs up users over the public API; rows of COLUMNS and their ids."""
    caller, password = Caller(target), secrets.token_urlsafe(18)
    prefix = 'bench-' + secrets.token_hex(4)

    def one(i):
        email = '%s-%d@bench.example' % (prefix, i)
        status, data = caller.post('/auth/v1/signup', {'apikey': anon_key},
                                   {'email': email, 'password': password})
        body = json.loads(data)
        if status != 200 or 'access_token' not in body:
            raise Failed('signing up users: %d %s' % (status, data[:200]))
        return [email, password, body['access_token'], body['refresh_token']], body['user']['id']

    rows, ids = [], []
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for row, user in pool.map(one, range(count)):
            rows.append(row)
            ids.append(user)
            if len(rows) % 250 == 0:
                say('%d of %d users' % (len(rows), count))
    return rows, ids


# ---- by SQL ---------------------------------------------------------------------------------------

def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=')


def sign(claims, secret):
    """An HS256 token such as the server issues."""
    head = b64(b'{"alg":"HS256","typ":"JWT"}')
    text = head + b'.' + b64(json.dumps(claims, separators=(',', ':')).encode())
    return (text + b'.' + b64(hmac.new(secret.encode(), text, hashlib.sha256).digest())).decode()


def claims_of(user, session, email, now):
    return {
        'sub': user, 'aud': 'authenticated', 'exp': now + 36000, 'iat': now, 'email': email,
        'phone': '', 'app_metadata': {'provider': 'email', 'providers': ['email']},
        'user_metadata': {'sub': user, 'email': email, 'email_verified': True,
                          'phone_verified': False},
        'role': 'authenticated', 'aal': 'aal1',
        'amr': [{'method': 'password', 'timestamp': now}], 'session_id': session,
        'is_anonymous': False}


INSERT = '''
create temporary table made (n bigint, id uuid, session uuid, email text, refresh text);
\\copy made from pstdin
%(rows)s
\\.
insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at,
    confirmation_token, recovery_token, email_change_token_new, email_change, last_sign_in_at,
    raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
select '00000000-0000-0000-0000-000000000000', id, 'authenticated', 'authenticated', email,
    (select encrypted_password from auth.users where email = '%(model)s'), now(), '', '', '', '', now(),
    '{"provider":"email","providers":["email"]}',
    jsonb_build_object('sub', id, 'email', email, 'email_verified', true, 'phone_verified', false),
    now(), now()
from made;
insert into auth.identities (id, user_id, provider_id, provider, identity_data, last_sign_in_at,
    created_at, updated_at)
select gen_random_uuid(), id, id, 'email',
    jsonb_build_object('sub', id, 'email', email, 'email_verified', false, 'phone_verified', false),
    now(), now(), now()
from made;
insert into auth.sessions (id, user_id, created_at, updated_at, aal)
select session, id, now(), now(), 'aal1' from made;
insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
select gen_random_uuid(), session, now(), now(), 'password' from made;
insert into auth.refresh_tokens (instance_id, token, user_id, revoked, created_at, updated_at, session_id)
select '00000000-0000-0000-0000-000000000000', refresh, id, false, now(), now(), session from made;
insert into public.profiles (id, name, role) select id, 'Bench', 'basic_user' from made;
analyze auth.users, auth.identities, auth.sessions, auth.refresh_tokens, auth.mfa_amr_claims, public.profiles;
'''


def insert(server, count):
    """Users, sessions and tokens straight into a scratch server's database; rows of COLUMNS."""
    model, _ = sign_up(server.target, server.anon, 1)
    alphabet = 'abcdefghijklmnopqrstuvwxyz234567'
    now, made = int(time.time()), []
    for n in range(count):
        made.append((str(n), str(uuid.uuid4()), str(uuid.uuid4()), 'user-%d@bench.example' % n,
                     ''.join(secrets.choice(alphabet) for _ in range(12))))
    server.sql(INSERT % {'rows': '\n'.join('\t'.join(row) for row in made), 'model': model[0][0]})
    secret = server.status['JWT_SECRET']
    return [[email, model[0][1], sign(claims_of(user, session, email, now), secret), refresh]
            for _, user, session, email, refresh in made]
