// SPDX-License-Identifier: Apache-2.0
// Limits on mails: in all and to one address, on one node and on two; and on codes tried at an address.
import { before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { email, password, signedUp, start } from '../lib/basalt.mjs'
import { startMail } from '../lib/mail.mjs'
import { isRefusal, refused } from '../lib/refused.mjs'
import { Redis } from '../lib/redis.mjs'
import { waitFor } from '../lib/wait.mjs'

let open, mail
const versions = [null, '2024-01-01']
// A minute between two mails to one user is another rule (GoTrue's smtp_max_frequency).
const settings = (more) => ({
  rate_limits: 'on', rate_limit_otp: 'off', smtp_url: mail.url, mailer_autoconfirm: 'false',
  smtp_max_frequency: '0', ...more })
const recover = (on, address, version) => on.auth('POST', '/recover', { json: { email: address }, version })

before(async () => {
  mail = await startMail()
  open = await start({ settings: { mailer_autoconfirm: 'true' } })
})

describe('mails', () => {
  test('to one address', async () => {
    const on = await open.beside(settings({ rate_limit_email_address: '2/1h', rate_limit_email_sent: 'off' }))
    const [one, other] = [await signedUp(open), await signedUp(open)]
    for (let i = 0; i < 2; i++) assert.equal((await recover(on, one.email)).status, 200)
    for (const version of versions) {
      const answer = await recover(on, one.email, version)
      isRefusal(answer, { status: 429, code: 'over_email_send_rate_limit',
        message: 'email rate limit exceeded', version })
      assert.ok(Number(answer.headers['retry-after']) > 1700, answer.headers['retry-after'])
    }
    assert.equal((await recover(on, other.email)).status, 200)
    assert.ok(await on.metric('basalt_limit_refused_total{limit="email_to"}') >= 2)
    await on.close()
  })

  test('in all, on two nodes', async () => {
    const redis = await new Redis().start()
    const limits = settings({ rate_limit_email_sent: '3/1h', redis_url: redis.url })
    const nodes = [await open.beside(limits), await open.beside(limits)]
    const users = []
    for (let i = 0; i < 5; i++) users.push(await signedUp(open))
    for (const on of nodes) {
      await waitFor('a shared limit', async () => {
        await on.auth('POST', '/token?grant_type=password', { json: { email: email(), password } })
        return await on.metric('basalt_limit_share_asks_total{result="answered"}') > 0
      })
    }
    for (let i = 0; i < 3; i++) {
      const answer = await recover(nodes[i % 2], users[i].email)
      assert.equal(answer.status, 200, answer.text)
    }
    for (const on of nodes) {
      await waitFor('the other to know', async () => (await recover(on, users[3].email)).status === 429, 1000)
      await refused((version) => recover(on, users[4].email, version), 429,
        'over_email_send_rate_limit', 'email rate limit exceeded')
    }
    for (const on of nodes) await on.close()
    await redis.stop()
  })

  test('are not counted while addresses are confirmed without one', async () => {
    const on = await open.beside(settings({ mailer_autoconfirm: 'true', rate_limit_email_sent: '0' }))
    assert.equal((await recover(on, (await signedUp(open)).email)).status, 200)
    await on.close()
  })
})

test('codes tried at one address, from wherever', async () => {
  const on = await open.beside(settings({ rate_limit_codes: '3/1h', rate_limit_verify: 'off' }))
  const user = await signedUp(open)
  const guess = (version) => on.auth('POST', '/verify', {
    json: { type: 'recovery', email: user.email, token: '000000' }, version })
  for (let i = 0; i < 3; i++) assert.equal((await guess()).status, 403)
  await refused(guess, 429, 'over_request_rate_limit', 'Request rate limit reached')
  await on.close()
})
