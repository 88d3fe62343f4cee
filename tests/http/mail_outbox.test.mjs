// SPDX-License-Identifier: Apache-2.0
// From the outbox to the mail server: each mail once, again when the server does not take it now, on
// any node, and never in a request's way. Mails are put where a flow puts them: into the outbox.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { before, describe, test } from 'node:test'
import { email, signedUp, start } from '../lib/basalt.mjs'
import { startMail } from '../lib/mail.mjs'
import * as sql from '../lib/sql.mjs'
import { patience, waitFor } from '../lib/wait.mjs'

let server, mail, admin
const settings = { smtp_retry: '50ms', mailer_autoconfirm: 'true', smtp_sender_name: 'The App',
  smtp_admin_email: 'app@example.org', cleanup: 'false' }

before(async () => {
  mail = await startMail({ user: 'ada', pass: 'p@ss:w/rd' })
  server = await start({ settings: { ...settings, smtp_url: mail.url } })
  admin = await sql.session(server.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
})

const insert = `with m as (
  insert into basalt.mail (id, kind, recipient, data, expires_at)
  values ($1, $2, $3, $4, now() + interval '1 day') returning id)
  insert into basalt.job (kind, payload) select 'mail', jsonb_build_object('id', id) from m`

// As mailer_queue does it.
async function queue(to, more = {}, { kind = 'recovery', db = admin } = {}) {
  const id = randomUUID()
  await db.rows(insert, [id, kind, to, JSON.stringify({ Email: to, Token: '654321',
    TokenHash: 'ab12', ConfirmationURL: 'https://api.example.com/auth/v1/verify?token=ab12&type=recovery&redirect_to=https://x.org',
    SiteURL: 'https://x.org', Data: {}, ...more })])
  return id
}
const row = async (id) => (await admin.rows('select * from basalt.mail where id = $1', [id]))[0]
const settled = (id, state) => waitFor(`mail ${id} to be ${state}`, async () => {
  const one = await row(id)
  return one.state === state && one
})
const jobOf = async (id) => (await admin.rows(`select * from basalt.job where payload ->> 'id' = $1`, [id]))[0]
// What would wait for its turn comes at once.
const hurry = async () => {
  await admin.rows(`update basalt.job set run_at = now() where kind = 'mail' and lease is null`)
  await admin.rows(`select pg_notify('basalt_jobs', '')`)
}

describe('a mail', () => {
  test('arrives at once, as its template says, and is forgotten here', async () => {
    const to = email()
    const id = await queue(to)
    const letter = await mail.to(to)
    assert.equal(letter.subject, 'Reset your password')
    assert.deepEqual(letter.from, { address: 'app@example.org', name: 'The App' })
    assert.equal(letter.envelope.from, 'app@example.org')
    assert.equal(letter.link, 'https://api.example.com/auth/v1/verify?token=ab12&type=recovery&redirect_to=https://x.org')
    assert.equal(letter.otp, '654321')
    assert.equal(letter.headers['message-id'], `<${id}@example.org>`)
    assert.deepEqual(mail.logins.at(-1).user, 'ada')
    const kept = await settled(id, 'sent')
    assert.equal(kept.data, null)
    assert.equal(kept.attempts, 1)
    assert.equal(await jobOf(id), undefined)
    assert.equal(mail.all(to).length, 1)
  })

  test('of every kind can be sent', async () => {
    const kinds = ['confirmation', 'recovery', 'magic_link', 'invite', 'email_change', 'reauthentication',
      ...['password_changed', 'email_changed', 'phone_changed', 'identity_linked', 'identity_unlinked',
        'mfa_factor_enrolled', 'mfa_factor_unenrolled'].map((name) => `${name}_notification`)]
    const to = email()
    for (const kind of kinds) await queue(to, {}, { kind })
    await waitFor('all of them', () => mail.all(to).length === kinds.length)
    const subjects = mail.all(to).map((letter) => letter.subject)
    assert.equal(new Set(subjects).size, kinds.length)
    assert.ok(subjects.includes('654321 is your verification code'))
  })

  test('is tried again after temporary failures, and arrives once', async () => {
    const to = email()
    mail.mode = (address) => (address === to && mail.attempts.filter((a) => a === to).length < 3 ? 'temporary' : 'ok')
    const id = await queue(to)
    await waitFor('the third attempt', async () => {
      await hurry()
      return mail.all(to).length
    })
    const kept = await settled(id, 'sent')
    assert.ok(kept.attempts >= 3)
    mail.mode = 'ok'
    assert.equal(mail.all(to).length, 1)
  })

  test('that is refused for good is not tried again, and can be sent anew by hand', async () => {
    const to = email()
    mail.mode = (address) => (address === to ? 'permanent' : 'ok')
    const id = await queue(to)
    const failed = await settled(id, 'failed')
    assert.match(failed.last_error, /550|refused|rejected|No such/i)
    assert.equal(await jobOf(id), undefined)
    await waitFor('the log line', () => server.events('mail.failed').find((line) => line.mail === id))
    assert.ok(!server.log().includes('654321'), 'no code in the log')
    mail.mode = 'ok'
    const listed = await server.command(['mail', 'list', to])
    assert.match(listed.stdout, new RegExp(`^${id} .* failed +recovery +${to}`), listed.stderr)
    const retried = await server.command(['mail', 'retry', id])
    assert.equal(retried.code, 0, retried.stderr)
    await mail.to(to)
    await settled(id, 'sent')
    assert.equal((await server.command(['mail', 'retry', id])).code, 1)
  })

  test('whose transaction is rolled back never was', async () => {
    const to = email()
    const other = await sql.session(server.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
    await other.rows('begin')
    const id = await queue(to, {}, { db: other })
    await queue(email('marker'))
    await other.rows('rollback')
    const marker = email('marker')
    await queue(marker)
    await mail.to(marker)
    assert.equal(mail.all(to).length, 0)
    assert.equal(await row(id), undefined)
  })

  test('that has expired is not sent', async () => {
    const to = email()
    await admin.rows(`insert into basalt.mail (id, kind, recipient, data, expires_at)
      values ($1, 'recovery', $2, '{}', now())`, [randomUUID(), to])
    await admin.rows(`insert into basalt.job (kind, payload) select 'mail', jsonb_build_object('id', id) from basalt.mail where recipient = $1`, [to])
    await waitFor('its job to be over', async () => !(await admin.rows(
      `select from basalt.job j join basalt.mail m on m.id = (j.payload ->> 'id')::uuid where m.recipient = $1`, [to])).length)
    assert.equal(mail.all(to).length, 0)
  })
})

test('while the mail server is away requests are as fast as ever, and later everything arrives', async () => {
  await mail.stop()
  const ids = []
  const to = []
  for (let i = 0; i < 10; i++) {
    to.push(email())
    ids.push(await queue(to.at(-1)))
  }
  const from = performance.now()
  for (let i = 0; i < 5; i++) await signedUp(server)
  assert.ok(performance.now() - from < 5 * 1000 * patience, 'signups wait for no mail server')
  await waitFor('attempts that failed', async () => (await row(ids[0])).attempts > 0)
  await mail.restart()
  await waitFor('all of them', async () => {
    await hurry()
    return to.every((address) => mail.all(address).length)
  }, 60_000, 300)
  for (const id of ids) await settled(id, 'sent')
  for (const address of to) assert.equal(mail.all(address).length, 1, address)
})

describe('two nodes', () => {
  test('send each mail once', async () => {
    const other = await server.beside({ ...settings, smtp_url: mail.url })
    const to = Array.from({ length: 60 }, () => email())
    await Promise.all(to.map((address) => queue(address)))
    await waitFor('all of them', () => to.every((address) => mail.all(address).length))
    for (const address of to) assert.equal(mail.all(address).length, 1, address)
    const counts = await Promise.all([server, other].map(async (node) =>
      Number(/basalt_mails_total\{result="sent"\} (\d+)/.exec((await node.ops('/metrics')).text)?.[1] ?? 0)))
    assert.ok(counts[1] > 0, 'the second took its part')
    await other.stop()
  })

  test('of which one is killed in the middle of a mail: the other sends it', async () => {
    const other = await server.beside({ ...settings, smtp_url: mail.url })
    const to = email()
    const all = Array.from({ length: 8 }, () => email())
    mail.mode = 'hang'
    const ids = []
    for (const address of [to, ...all]) ids.push(await queue(address))
    await waitFor('both nodes to be at it', () => mail.attempts.filter((a) => [to, ...all].includes(a)).length >= 8)
    await other.die()
    mail.mode = 'ok'
    await waitFor('every mail', async () => {
      // the leases of the dead end, a minute earlier than they would
      await admin.rows(`update basalt.job set run_at = now() where kind = 'mail' and lease is not null
        and run_at < now() + interval '40 seconds'`)
      await hurry()
      return [to, ...all].every((address) => mail.all(address).length)
    }, 60_000, 500)
    for (const id of ids) await settled(id, 'sent')
  })
})
