// SPDX-License-Identifier: Apache-2.0
// Hostile text in every field that a client can fill: the right status, nothing executed, nothing
// broken, no 500, and what is stored comes back as it was.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { email, password, signedUp, start } from '../lib/basalt.mjs'
import { exchange } from '../lib/http.mjs'

const hostile = [
  "' or '1'='1", "'; drop table auth.users; --", '"; delete from public.profiles; --', '$1', '$$x$$',
  "\\'; select pg_sleep(10); --", "E'\\x27'", '%s%n%s', '{{7*7}}', '${jndi:ldap://x}', '../../etc/passwd',
  '<script>alert(1)</script>', '\u202e\ufeff\uffff', '😀'.repeat(20), '\t\r\n\b\f', '`id`', "''''", '\\',
  'public.profiles', 'NULL', '-1', '1e999', 'A'.repeat(250),
]
let server, user, tables

const fingerprint = async () => (await server.sql(`select n.nspname || '.' || c.relname as name
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('auth', 'public', 'basalt') and c.relkind in ('r', 'v') order by 1`))
  .map((row) => row.name).join()

before(async () => {
  server = await start({ settings: { rate_limits: 'off' } })
  user = await signedUp(server)
  tables = await fingerprint()
})

async function unharmed() {
  assert.equal(await fingerprint(), tables)
  assert.equal((await server.auth('GET', '/user', { token: user.token })).status, 200)
  const [row] = await server.sql('select id from public.profiles where id = $1', [user.id])
  assert.equal(row?.id, user.id)
}

const sound = (answer, what) => {
  assert.ok(answer.status < 500, `${what}: ${answer.status} ${answer.text.slice(0, 300)}`)
  if (answer.text && answer.headers['content-type']?.startsWith('application/json'))
    assert.ok(answer.json, `${what}: ${answer.text.slice(0, 300)}`)
}

describe('bodies', () => {
  const bodies = {
    'POST /auth/v1/signup': [(json) => server.auth('POST', '/signup', { json }),
      () => ({ email: email('h'), password, phone: '', data: {}, channel: '', code_challenge: '',
        code_challenge_method: '' })],
    'POST /auth/v1/token?grant_type=password': [
      (json) => server.auth('POST', '/token?grant_type=password', { json }),
      () => ({ email: user.email, password, phone: '' })],
    'POST /auth/v1/token?grant_type=refresh_token': [
      (json) => server.auth('POST', '/token?grant_type=refresh_token', { json }),
      () => ({ refresh_token: 'abcdefghijkl' })],
    'POST /auth/v1/admin/users': [(json) => server.service('POST', '/admin/users', { json }),
      () => ({ email: email('h'), password, id: crypto.randomUUID(), aud: 'authenticated',
        role: 'authenticated', phone: '', ban_duration: 'none', user_metadata: {},
        app_metadata: {} })],
    'PUT /auth/v1/admin/users/{id}': [
      (json) => server.service('PUT', `/admin/users/${victim}`, { json }),
      () => ({ role: 'authenticated', phone: '', ban_duration: 'none', user_metadata: {} })],
    'PUT /auth/v1/user': [(json) => server.auth('PUT', '/user', { json, token: user.token }),
      () => ({ email: '', phone: '', channel: '', nonce: '', current_password: '', data: {},
        app_metadata: null, code_challenge: '', code_challenge_method: '' })],
    ...Object.fromEntries(['otp', 'magiclink', 'recover', 'resend'].map((name) => [`POST /auth/v1/${name}`, [
      (json) => server.auth('POST', `/${name}`, { json }),
      () => ({ email: email('h'), type: 'signup', phone: '', channel: '', data: {}, create_user: true,
        code_challenge: '', code_challenge_method: '' })]])),
    'POST /auth/v1/verify with a code': [(json) => server.auth('POST', '/verify', { json }),
      () => ({ type: 'email', email: user.email, token: '123456', phone: '' })],
    'POST /auth/v1/verify with a link': [(json) => server.auth('POST', '/verify', { json }),
      () => ({ type: 'email', token_hash: 'a'.repeat(56), redirect_to: '' })],
    'POST /auth/v1/token?grant_type=pkce': [(json) => server.auth('POST', '/token?grant_type=pkce', { json }),
      () => ({ auth_code: crypto.randomUUID(), code_verifier: 'v'.repeat(43) })],
    'POST /auth/v1/invite': [(json) => server.service('POST', '/invite', { json }),
      () => ({ email: email('h'), data: {} })],
    'POST /auth/v1/admin/generate_link': [
      (json) => server.service('POST', '/admin/generate_link', { json }),
      () => ({ type: 'magiclink', email: email('h'), new_email: '', password: '', data: {},
        redirect_to: '' })],
    'POST /api/auth/register': [(json) => server.app('POST', '/auth/register', { json }),
      () => ({ email: email('h'), password, name: 'a', role: 'Brand', full_name: 'a',
        avatar_url: 'https://a/', country: 'a', timezone: 'a', annual_income: 1 })],
    'POST /api/auth/login': [(json) => server.app('POST', '/auth/login', { json }),
      () => ({ email: user.email, password })],
    'POST /api/auth/refresh': [(json) => server.app('POST', '/auth/refresh', { json }),
      () => ({ refresh_token: 'abcdefghijkl' })],
  }
  let victim

  before(async () => {
    victim = (await signedUp(server)).id
  })

  for (const [what, [send, body]] of Object.entries(bodies)) {
    test(what, async () => {
      for (const field of Object.keys(body())) {
        // of the text of a password nothing is parsed, and each costs a hash
        const words = field === 'password' ? hostile.slice(0, 3) : hostile
        for (const word of [...words, 7, -1.5, true, null, [], {}, ['x'], { x: 'y' }])
          sound(await send({ ...body(), [field]: word }), `${field} = ${JSON.stringify(word)}`)
      }
      for (const word of hostile) sound(await send({ ...body(), [word]: word }), `key ${word}`)
      await unharmed()
    })
  }

  test('what is stored comes back as it was', async () => {
    for (const word of hostile) {
      const made = await server.app('POST', '/auth/register',
        { json: { email: email('kept'), password, name: word, country: 'x' } })
      assert.equal(made.status, 201, made.text)
      assert.equal(made.json.name, word)
      const [row] = await server.sql('select name from public.profiles where id = $1',
        [made.json.user_id])
      assert.equal(row.name, word)
    }
    const data = Object.fromEntries(hostile.map((word, i) => [`${word}${i}`, word]))
    const kept = await signedUp(server, { data })
    for (const [key, value] of Object.entries(data))
      assert.equal(kept.session.user.user_metadata[key], value)
  })
})

describe('everything around the body', () => {
  const encoded = hostile.map((word) => encodeURIComponent(word))

  test('queries and paths', async () => {
    for (const word of encoded) {
      for (const target of [`/admin/users?filter=${word}`, `/admin/users?page=${word}`,
        `/admin/users?per_page=${word}`, `/admin/users?sort=${word}`, `/admin/users?${word}=1`,
        `/admin/users/${word.replaceAll('%2F', '_')}`, `/${word}`, `/admin/audit?query=${word}`,
        `/admin/audit?query=author:${word}`, `/admin/audit?page=1&${word}=${word}`])
        sound(await server.service('GET', target), target)
      sound(await server.auth('POST', `/token?grant_type=${word}`, { json: {} }), word)
      sound(await server.auth('DELETE', `/user/identities/${word.replaceAll('%2F', '_')}`,
        { token: user.token }), word)
      sound(await server.auth('GET', `/user/identities/authorize?provider=${word}`,
        { token: user.token }), word)
      sound(await server.auth('POST', `/logout?scope=${word}x`, { token: user.token }), word)
      sound(await server.call(`/auth/v1/settings?apikey=${word}`), word)
      for (const query of [`type=${word}&token=x`, `type=signup&token=${word}`, `type=signup&token=x&redirect_to=${word}`,
        `type=signup&token=pkce_${word}&redirect_to=${encodeURIComponent(server.api)}/${word}%23${word}`])
        sound(await server.call(`/auth/v1/verify?${query}`), query)
    }
    for (const query of ['%', '%zz', '%00', '=', '&&&', '?'.repeat(50), 'a=1&a=2', '%ff%fe'])
      sound(await server.service('GET', `/admin/users?filter=${query}`), query)
    await unharmed()
  })

  test('headers', async () => {
    const names = ['User-Agent', 'X-Request-ID', 'traceparent', 'X-Forwarded-For', 'Forwarded',
      'X-JWT-AUD', 'Origin', 'Referer', 'apikey', 'Authorization', 'Cookie', 'Accept', 'redirect_to',
      'X-Client-Info', 'X-Supabase-Api-Version', 'Content-Type']
    for (const name of names) {
      for (const word of hostile) {
        const value = Buffer.from(word.replace(/[\0-\x08\x0a-\x1f\x7f]/g, '?'), 'utf8')
        const key = name === 'apikey' ? '' : `apikey: ${server.keys.anon}\r\n`
        const body = JSON.stringify({ email: user.email, password: 'wrong-one' })
        const [answer] = await exchange(server.api, Buffer.concat([
          Buffer.from('POST /auth/v1/token?grant_type=refresh_token HTTP/1.1\r\nHost: a\r\n'
            + `Connection: close\r\n${key}${name}: `), value,
          Buffer.from(`\r\nContent-Length: ${body.length}\r\n\r\n${body}`)]))
        sound(answer, `${name}: ${word}`)
      }
    }
    await unharmed()
  })

  test('a target of a mail that is no text', async () => {
    const body = JSON.stringify({ email: email('target') })
    for (const tail of ['\xff\xfe', '\xc3', '\xed\xa0\x80', '\xf4\x90\x80\x80']) {
      const [answer] = await exchange(server.api, Buffer.from('POST /auth/v1/otp HTTP/1.1\r\nHost: a\r\n'
        + `Connection: close\r\napikey: ${server.keys.anon}\r\nredirect_to: ${server.api}/${tail}\r\n`
        + `Content-Length: ${body.length}\r\n\r\n${body}`, 'latin1'))
      sound(answer, JSON.stringify(tail))
      assert.ok([200, 429].includes(answer.status), answer.text)
    }
  })

  test('what a header left in the database and in the log is text', async () => {
    const agent = `'); drop table auth.users; -- "${'x'.repeat(2000)}`
    const address = email('agent')
    const made = await server.app('POST', '/auth/register',
      { json: { email: address, password }, headers: { 'user-agent': agent } })
    assert.equal(made.status, 201, made.text)
    const [row] = await server.sql('select user_agent from auth.sessions where user_id = $1',
      [made.json.user_id])
    assert.ok(agent.startsWith(row.user_agent) && row.user_agent.length >= 100)
    const found = await server.call('/%22%0a%7b%22level%22%3a%22x%22%7d%0a')
    const line = await server.logged(found.headers['x-request-id'])
    assert.equal(line.status, 404)
    await unharmed()
  })
})
