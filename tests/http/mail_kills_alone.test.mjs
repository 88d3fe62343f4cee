// SPDX-License-Identifier: Apache-2.0
// Nodes and PostgreSQL are killed while mails are written and sent: every mail whose transaction was
// acknowledged arrives, none whose transaction was rolled back, and few twice.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { start } from '../lib/basalt.mjs'
import { startMail } from '../lib/mail.mjs'
import * as sql from '../lib/sql.mjs'
import { waitFor } from '../lib/wait.mjs'

const KILLS = 9
const AT_ONCE = 4 // handlers of a node (src/app/background.c)

const insert = `with m as (insert into basalt.mail (id, kind, recipient, data, expires_at)
  values ($1, 'recovery', $2, '{}', now() + interval '1 day') returning id)
  insert into basalt.job (kind, payload) select 'mail', jsonb_build_object('id', id) from m`

test(`${KILLS} kills lose no mail`, async (t) => {
  const mail = await startMail()
  const base = await start({ settings: { cleanup: 'false' } }) // sends none; its PostgreSQL stays
  const node = () => base.beside({ smtp_url: mail.url, smtp_retry: '100ms', cleanup: 'false' })
  const admin = () => sql.session(base.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
  const nodes = [await node(), await node()]
  const written = [], undone = []
  let stopped = false, n = 0

  // Until it is told to stop; a session that PostgreSQL's end has cut is opened again.
  async function write() {
    for (let db; !stopped;) {
      const [to, rolledBack] = [`m${++n}@example.com`, n % 5 === 0]
      try {
        db ??= await admin()
        await db.rows('begin')
        await db.rows(insert, [randomUUID(), to])
        await db.rows(rolledBack ? 'rollback' : 'commit');
        (rolledBack ? undone : written).push(to)
        await sleep(2)
      } catch {
        db = undefined
        await sleep(50)
      }
    }
  }
  const writers = [write(), write()]
  for (let i = 0; i < KILLS; i++) {
    const sent = mail.letters.length
    await waitFor('mails to be under way', () => mail.letters.length >= sent + 20, 30_000)
    if (i % 3 === 2) process.kill(base.postmasterPid(), 'SIGKILL')
    else {
      await nodes[i % 2].die()
      nodes[i % 2] = await node()
    }
  }
  stopped = true
  await Promise.all(writers)
  const db = await waitFor('PostgreSQL', admin, 30_000)
  const got = (address) => mail.all(address).length
  await waitFor('every mail', async () => {
    // the leases of the dead end, a minute earlier than they would
    await db.rows(`update basalt.job set run_at = now() where kind = 'mail'`)
    await db.rows(`select pg_notify('basalt_jobs', '')`)
    return written.every(got)
  }, 60_000, 1000)
  const twice = written.filter((address) => got(address) > 1).length
  t.diagnostic(`${written.length} mails, ${undone.length} rolled back, ${twice} more than once`)
  assert.deepEqual(undone.filter(got), [])
  // in flight at a kill; the last wait may end a lease that is alive
  assert.ok(twice <= (KILLS + 1) * 2 * AT_ONCE, `${twice} came more than once`)
  await waitFor('an empty queue', async () => (await db.rows(
    `select from basalt.job where kind = 'mail'`)).length === 0, 30_000)
  await Promise.all(nodes.map((one) => one.stop()))
})
