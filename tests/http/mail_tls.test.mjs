// SPDX-License-Identifier: Apache-2.0
// To the mail server by TLS: what is not proven to be it gets neither password nor mail.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { before, describe, test } from 'node:test'
import { email, scratch, start } from '../lib/basalt.mjs'
import { startMail } from '../lib/mail.mjs'
import * as sql from '../lib/sql.mjs'
import { waitFor } from '../lib/wait.mjs'

let base, admin, trusted
const secret = 'a-pass-word'

function certificate(folder, name) {
  const [key, cert] = ['key', 'pem'].map((kind) => path.join(folder, `${name}.${kind}`))
  const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
    '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert])
  assert.equal(made.status, 0, String(made.stderr))
  return { file: cert, key: fs.readFileSync(key), cert: fs.readFileSync(cert) }
}

before(async () => {
  const folder = scratch()
  trusted = certificate(folder, 'trusted')
  base = await start({ settings: { cleanup: 'false' } })
  admin = await sql.session(base.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
})

async function queue() {
  const to = email()
  await admin.rows(`with m as (insert into basalt.mail (id, kind, recipient, data, expires_at)
    values ($1, 'recovery', $2, '{"Email":"x","Token":"123456"}', now() + interval '1 day') returning id)
    insert into basalt.job (kind, payload) select 'mail', jsonb_build_object('id', id) from m`, [randomUUID(), to])
  return to
}
const row = async (to) => (await admin.rows('select * from basalt.mail where recipient = $1', [to]))[0]

// A node that sends to that server; its mails are over when it goes.
async function withNode(mail, url, work, more = {}) {
  const node = await base.beside({ smtp_url: url, ca_file: trusted.file, smtp_retry: '100ms', ...more })
  try {
    await work(node)
  } finally {
    await node.stop()
    await admin.rows(`delete from basalt.job where kind = 'mail'`)
    await mail.stop()
  }
}

async function deferred(node, mail) {
  const to = await queue()
  const kept = await waitFor('an attempt', async () => {
    const one = await row(to)
    return one.attempts > 0 && one
  })
  assert.equal(kept.state, 'waiting')
  assert.ok(kept.last_error, 'says why')
  assert.equal(mail.letters.length, 0)
  assert.ok(!node.log().includes(secret), 'no password in the log')
}

describe('smtps and STARTTLS', () => {
  test('smtps: login and mail go encrypted', async () => {
    const mail = await startMail({ tls: 'tls', user: 'ada', pass: secret, ...trusted })
    await withNode(mail, mail.url, async () => {
      await mail.to(await queue())
      assert.deepEqual(mail.logins, [{ user: 'ada', secure: true }])
    })
  })

  test('STARTTLS comes before the login', async () => {
    const mail = await startMail({ tls: 'starttls', user: 'ada', pass: secret, ...trusted })
    await withNode(mail, `${mail.url}?tls=starttls`, async () => {
      await mail.to(await queue())
      assert.deepEqual(mail.logins, [{ user: 'ada', secure: true }])
    })
  })

  test('a server without STARTTLS gets nothing where it is required', async () => {
    const mail = await startMail({ user: 'ada', pass: secret })
    await withNode(mail, `${mail.url}?tls=starttls`, async (node) => {
      await deferred(node, mail)
      assert.deepEqual(mail.logins, [])
    })
  })

  test('a certificate that nobody vouches for gets nothing', async () => {
    const mail = await startMail({ tls: 'tls', user: 'ada', pass: secret, ...certificate(scratch(), 'other') })
    await withNode(mail, mail.url, async (node) => {
      await deferred(node, mail)
      assert.deepEqual(mail.logins, [])
    })
  })

  test('a password that is refused is an operator\'s mistake: the mail waits', async () => {
    const mail = await startMail({ tls: 'tls', user: 'ada', pass: secret, ...trusted })
    await withNode(mail, mail.url.replace(secret, `${secret}-not`), (node) => deferred(node, mail))
  })

  test('GoTrue\'s settings name the same server in pieces', async () => {
    const mail = await startMail({ user: 'ada', pass: secret })
    const node = await base.beside({}, { env: { GOTRUE_SMTP_HOST: '127.0.0.1', GOTRUE_SMTP_PORT: String(mail.port),
      GOTRUE_SMTP_USER: 'ada', GOTRUE_SMTP_PASS: secret, GOTRUE_SMTP_ADMIN_EMAIL: 'ops@example.org' } })
    const letter = await mail.to(await queue())
    assert.equal(letter.from.address, 'ops@example.org')
    assert.equal((await node.call('/auth/v1/settings', { headers: { apikey: node.keys.anon } })).json.mailer_autoconfirm, false)
    await node.stop()
  })
})
