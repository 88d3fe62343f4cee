// SPDX-License-Identifier: Apache-2.0
// The queue and the scheduler, seen through ticks and the queue's own table: once over all nodes,
// also when one of them is killed, and never in a request's way.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { signedUp, start } from '../lib/basalt.mjs'
import * as sql from '../lib/sql.mjs'
import { patience, waitFor } from '../lib/wait.mjs'

let server, admin
const INTERVAL_MS = 500

before(async () => {
  server = await start({ settings: { cleanup_interval: `${INTERVAL_MS}ms` } })
  admin = await sql.session(server.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
  await admin.rows(`create table public.seen (at timestamptz not null default now(), op text, kind text);
    alter table public.seen enable row level security;
    grant insert on public.seen to public;
    create policy seen_insert on public.seen for insert with check (true);
    create function public.see() returns trigger language plpgsql as $f$
      begin insert into public.seen (op, kind) values (tg_op, coalesce(new.kind, old.kind)); return null; end $f$;
    create trigger see after insert or delete on basalt.job for each row execute function public.see()`)
})

const ticks = async (op = 'INSERT') => Number((await admin.rows(
  `select count(*) from public.seen where op = $1 and kind = 'auth.housekeeping'`, [op]))[0].count)

describe('ticks', () => {
  test('come once an interval over two nodes, and go on when one is killed', async () => {
    const other = await server.beside({ cleanup_interval: `${INTERVAL_MS}ms` })
    const from = await ticks()
    const begun = performance.now()
    await waitFor('six ticks', async () => await ticks() >= from + 6)
    const most = Math.floor((performance.now() - begun) / INTERVAL_MS) + 1
    assert.ok(await ticks() - from <= most + 1, `at most ${most + 1} ticks`)
    await other.die()
    // should it have died in the middle of a run: its lease ends now instead of in a minute and a half
    await admin.rows(`update basalt.job set run_at = now() where lease is not null`)
    const then = await ticks('DELETE')
    await waitFor('three more runs to end', async () => await ticks('DELETE') >= then + 3)
    const gaps = await admin.rows(`select extract(epoch from at - lag(at) over (order by at)) * 1000 as ms
      from public.seen where op = 'INSERT' and kind = 'auth.housekeeping'`)
    for (const { ms } of gaps.slice(1)) assert.ok(Number(ms) > INTERVAL_MS * 0.99, `a gap of ${ms} ms`)
  })
})

describe('jobs', () => {
  test('of a kind that no node serves wait and cost nothing', async () => {
    await admin.rows(`insert into basalt.job (kind) select 'unknown' from generate_series(1, 50)`)
    const before = await ticks('DELETE')
    await waitFor('ticks to go on', async () => await ticks('DELETE') >= before + 2)
    const [row] = await admin.rows(`select count(*), max(attempts) from basalt.job where kind = 'unknown'`)
    assert.deepEqual({ ...row }, { count: '50', max: 0 })
    await admin.rows(`delete from basalt.job where kind = 'unknown'`)
  })

  test('that fail are tried again, later each time, and in the end are dead: kept, counted, logged', async () => {
    await admin.rows(`create function public.fail() returns trigger language plpgsql as $f$ begin raise 'no cleaning today'; end $f$;
      create trigger fail before update or delete on basalt.mail for each row execute function public.fail()`)
    await admin.rows(`insert into basalt.mail (id, kind, recipient, data, created_at, expires_at) values
      (gen_random_uuid(), 'recovery', 'x@example.com', '{}', now() - interval '2 days', now() - interval '1 day')`)
    const row = () => admin.rows(`select *, run_at - now() as wait from basalt.job where kind = 'auth.housekeeping'`)
    await waitFor('the first failure', async () => (await row())[0]?.last_error?.includes('Database') || (await row())[0]?.last_error)
    for (let attempt = 2; attempt <= 5; attempt++) {
      await waitFor(`attempt ${attempt}`, async () => {
        const [job] = await row()
        if (job.attempts >= attempt && !job.lease) return true
        if (!job.lease) await admin.rows(`update basalt.job set run_at = now() where id = $1 and lease is null`, [job.id])
        await admin.rows(`select pg_notify('basalt_jobs', '')`)
      })
    }
    await waitFor('its death', async () => (await row()).find((job) => job.dead_at))
    await waitFor('the metric', async () => (await server.ops('/metrics')).text
      .includes('basalt_jobs_total{result="dead"} 1'))
    await waitFor('the log line', () => server.events('job.dead').find((line) => line.kind === 'auth.housekeeping' && line.level === 'error'))
    assert.ok(server.events('job.failed').length >= 4)
    await admin.rows(`drop trigger fail on basalt.mail; delete from basalt.mail`)
    const done = await ticks('DELETE')
    await waitFor('later ticks to run all the same', async () => await ticks('DELETE') > done)
    await admin.rows(`delete from basalt.job where dead_at is not null`)
  })

  test('whose node was killed are taken by another when the lease ends', async () => {
    const before = await ticks('DELETE')
    // as a node leaves it that took the job and was killed
    await waitFor('a job of a lost node', async () => (await admin.rows(`insert into basalt.job (kind, attempts, lease, run_at)
      select 'auth.housekeeping', 1, gen_random_uuid(), now() + interval '1 hour'
      where not exists (select from basalt.job where kind = 'auth.housekeeping') returning id`)).length)
    const runs = await ticks('DELETE')
    await sleep(INTERVAL_MS * 3)
    assert.equal(await ticks('DELETE'), runs, 'nobody touches a leased job, and its tick waits')
    await admin.rows(`update basalt.job set run_at = now() where kind = 'auth.housekeeping'`)
    await admin.rows(`select pg_notify('basalt_jobs', '')`)
    await waitFor('the job to be done', async () => await ticks('DELETE') > before)
  })

  test('that killed their node in every attempt are given up', async () => {
    await waitFor('a job that was tried too often', async () => (await admin.rows(`insert into basalt.job (kind, attempts, lease)
      select 'jobs.purge', 5, gen_random_uuid() returning id`)).length)
    await admin.rows(`select pg_notify('basalt_jobs', '')`)
    const [job] = await waitFor('its death', async () => {
      const rows = await admin.rows(`select * from basalt.job where kind = 'jobs.purge' and dead_at is not null`)
      return rows.length && rows
    })
    assert.equal(job.last_error, 'every attempt ended without a word')
    await admin.rows('delete from basalt.job where dead_at is not null')
  })

  test('leave requests alone on a pool of one connection', async () => {
    const small = await server.beside({ cleanup_interval: '100ms', pool_size: 1 })
    const user = await signedUp(small)
    for (let i = 0; i < 50; i++) {
      const answer = await small.auth('GET', '/user', { token: user.token })
      assert.equal(answer.status, 200, answer.text)
    }
    assert.equal(await small.metric('basalt_pg_pool_size'), 1)
    const end = await small.stop()
    assert.deepEqual(end, { code: 0, signal: null })
  })
})

test('a server that stops with a job at work gives it back within its grace', async () => {
  const base = await start({ settings: { cleanup: 'false' } })
  const node = await base.beside({ cleanup_interval: '100ms' })
  const login = await sql.session(base.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
  const holder = await sql.session(base.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
  await holder.rows('begin')
  await holder.rows('lock table basalt.mail in access exclusive mode')
  await waitFor('a run that waits for the lock', async () => (await login.rows(
    `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%basalt.mail%'`)).length)
  const from = performance.now()
  node.kill('SIGTERM')
  await waitFor('the job to be back in the queue', async () => {
    const [job] = await login.rows(`select * from basalt.job where kind = 'auth.housekeeping'`)
    return job && !job.lease && job.attempts === 0
  })
  assert.ok(performance.now() - from < 15_000 * patience)
  await holder.close()
  await login.close()
  assert.deepEqual(await node.exited, { code: 0, signal: null })
})
