// SPDX-License-Identifier: Apache-2.0
// `basalt audit`: whatever is changed in the journal or in the database is found and named; and what
// tail and export show.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { before, describe, test } from 'node:test'
import { command, email, password, scratch, signedUp, start } from '../lib/basalt.mjs'
import * as sql from '../lib/sql.mjs'
import { events, files, folder, node } from '../lib/journal.mjs'
import { waitFor } from '../lib/wait.mjs'

let server, admin

// All of it in the database and sealed.
const settled = () => waitFor('everything shipped and sealed', async () => {
  const [{ shipped, unsealed }] = await server.sql(`select
    coalesce((select sequence from basalt.audit_node where node = $1), 0)::int as shipped,
    (select count(*) from basalt.audit_event where id not in (select unnest(events) from basalt.audit_seal))::int
      as unsealed`, [node(server)])
  return unsealed === 0 && shipped === events(server).at(-1).sequence
})

before(async () => {
  server = await start({ settings: { audit_file_size: 4096, rate_limits: 'off' } })
  admin = await sql.connect(server.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
  await signedUp(server)
  for (let i = 0; i < 30; i++)
    await server.auth('POST', '/token?grant_type=password', { json: { email: email(), password } })
  await settled()
})

const verify = (...flags) => server.command(['audit', 'verify', ...flags])

async function whole() {
  const result = await verify()
  assert.equal(result.code, 0, result.stderr)
  return result.stdout
}

async function found(pattern, ...flags) {
  const result = await verify(...flags)
  assert.equal(result.code, 1, `${result.stdout}${result.stderr}`)
  assert.match(result.stderr, pattern)
}

test('what nobody has touched verifies, while the server runs', async () => {
  assert.match(await whole(), /^journal: \d+ events and \d+ copies in \d+ files.*\n.*sealed.*\neverything verifies\n$/)
  assert.equal((await verify('--journal')).code, 0)
})

test('from another machine: the database alone', async () => {
  const result = await command(['audit', 'verify'], { data: scratch(), settings: { database_url: server.db } })
  assert.equal(result.code, 0, result.stderr)
  assert.match(result.stdout, /^journal: none in this data folder\ndatabase: \d+ events/)
})

describe('the database', () => {
  const change = async (id, text) => {
    await admin.query('begin')
    await admin.query(text, [id])
    await admin.query('commit')
  }

  test('each column of a row, of the journal and of a change', async () => {
    const rows = await server.sql(`select distinct on (sequence is null) * from basalt.audit_event
      where name in ('login', 'login_failed') order by sequence is null, seq`)
    assert.equal(rows.length, 2)
    const other = {
      at: `at + interval '1 microsecond'`, name: `name || 'x'`, category: `'x'`, outcome: `'success2'`,
      actor_id: 'gen_random_uuid()', actor_kind: `'x'`, subject_id: 'gen_random_uuid()', ip: `'1.2.3.4'`,
      user_agent: `'x'`, request_id: `'x'`, detail: `'{"x":1}'`, node: 'gen_random_uuid()',
      sequence: 'coalesce(sequence, 0) + 1', hash: `'x'`,
    }
    for (const row of rows)
      for (const [column, value] of Object.entries(other)) {
        const [{ was }] = (await admin.query(
          `select ${column}::text as was from basalt.audit_event where id = $1`, [row.id])).rows
        await change(row.id, `update basalt.audit_event set ${column} = ${value} where id = $1`)
        await found(new RegExp(row.id))
        await admin.query(`update basalt.audit_event set ${column} = $2 where id = $1`, [row.id, was])
      }
    await whole()
  })

  test('a removed row, also when it was written a moment ago with its change', async () => {
    const mine = (await server.sql(`select id from basalt.audit_event where name = 'login_failed' limit 1`))[0].id
    await admin.query('create table public.kept as select * from basalt.audit_event where id = $1', [mine])
    await change(mine, 'delete from basalt.audit_event where id = $1')
    await found(new RegExp(`${mine}.*missing`))
    await admin.query('insert into basalt.audit_event overriding system value select * from public.kept')
    await admin.query('drop table public.kept')
    await whole()

    const fresh = await signedUp(server)
    const { rows: [gone] } = await admin.query(
      `delete from basalt.audit_event where actor_id = $1 and name = 'login' returning *`, [fresh.id])
    await waitFor('its copy in the journal', () => events(server, true).some((e) => e.id === gone.id))
    await found(new RegExp(`${gone.id}.*missing`))
    await admin.query(`insert into basalt.audit_event overriding system value
      select * from jsonb_populate_record(null::basalt.audit_event, $1)`, [JSON.stringify({ ...gone,
      at: gone.at })])
    await settled()
    await whole()
  })

  test('a seal that is changed, taken away, or rewritten together with its rows', async () => {
    const { rows: [last] } = await admin.query('select n::int, events from basalt.audit_seal order by n desc limit 1')
    await settled()
    server.kill('SIGSTOP') // it would seal anew what has lost its seal
    await admin.query('create table public.kept as select * from basalt.audit_seal')
    for (const text of [
      `update basalt.audit_seal set digests = digests || '\\x00' where n = 1`,
      `delete from basalt.audit_seal where n = 1`,
      `delete from basalt.audit_seal where n = ${last.n}`,
      `delete from basalt.audit_seal`,
    ]) {
      await admin.query(text)
      await found(/seal|missing/)
      await admin.query('truncate basalt.audit_seal')
      await admin.query('insert into basalt.audit_seal select * from public.kept')
    }
    await admin.query('drop table public.kept')
    server.kill('SIGCONT')
    await whole()
  })
})

describe('the journal', () => {
  const flipped = async (file, at, check) => {
    const was = fs.readFileSync(file)
    const is = Buffer.from(was)
    is[at] ^= 1
    fs.writeFileSync(file, is)
    await check()
    fs.writeFileSync(file, was)
  }

  test('one flipped byte, wherever it is', async () => {
    const file = files(server)[1]
    const { size } = fs.statSync(file)
    for (let at = 0; at < size; at += Math.floor(size / 15))
      await flipped(file, at, () => found(/00000002\.journal|00000003\.journal/, '--journal'))
    await whole()
  })

  test('a line or a file that is taken out', async () => {
    const file = files(server)[1]
    const was = fs.readFileSync(file, 'utf8')
    const lines = was.split('\n')
    fs.writeFileSync(file, lines.toSpliced(2, 1).join('\n'))
    await found(/00000002\.journal.*does not verify/)
    fs.writeFileSync(file, lines.slice(0, -3).join('\n') + '\n')
    await found(/00000003\.journal/)
    fs.rmSync(file)
    await found(/00000003\.journal/)
    fs.writeFileSync(file, was)
    const first = files(server)[0]
    fs.renameSync(first, `${first}.away`)
    await found(/00000001\.journal is missing/)
    fs.renameSync(`${first}.away`, first)
    await whole()
  })

  test('an end that is cut off: the database knows better', async () => {
    await settled()
    const file = files(server).at(-1)
    const was = fs.readFileSync(file, 'utf8')
    const lines = was.split('\n')
    const keep = lines.slice(0, 1).join('\n') + '\n'
    fs.writeFileSync(file, keep)
    await found(/lacks sequence|missing/)
    fs.writeFileSync(file, was)
    await whole()
  })
})

describe('reading', () => {
  test('export: every event, as JSON and as CSV', async () => {
    const json = await server.command(['audit', 'export'])
    assert.equal(json.code, 0, json.stderr)
    const rows = json.stdout.trim().split('\n').map((line) => JSON.parse(line))
    const [{ n }] = await server.sql('select count(*)::int as n from basalt.audit_event')
    assert.equal(rows.length, n)
    const failed = rows.find((row) => row.name === 'login_failed')
    assert.equal(failed.detail.reason, 'unknown_user')
    const csv = await server.command(['audit', 'export', '--csv', '--since', '1h'])
    const lines = csv.stdout.trim().split('\r\n')
    assert.equal(lines.length, n + 1)
    assert.match(lines[0], /^seq,at,name,category,outcome,actor_id/)
  })

  test('CSV: what a client sent is never a formula', async () => {
    await server.auth('GET', '/user', { token: 'x', headers: { 'user-agent': '=cmd("x")' } })
    await settled()
    const csv = await server.command(['audit', 'export', '--csv', '--since', '1m'])
    assert.match(csv.stdout, /"'=cmd\(""x""\)"/)
  })

  test('tail: the newest, in order; --since leaves out what is older', async () => {
    const tail = await server.command(['audit', 'tail', '3'])
    assert.equal(tail.code, 0, tail.stderr)
    const lines = tail.stdout.trim().split('\n')
    assert.equal(lines.length, 3)
    const times = lines.map((line) => line.slice(0, 27))
    assert.deepEqual(times, times.toSorted())
    assert.match(lines[0], /^\d{4}-\d\d-\d\dT[0-9:.]+Z [a-z_]+ (success|failure|denied|error|partial) /)
    assert.equal((await server.command(['audit', 'export', '--since', '2999-01-01'])).stdout, '')
  })

  test('wrong calls and help', async () => {
    for (const args of [[], ['look'], ['tail', '0'], ['tail', 'x'], ['export', '--since', 'yesterday']])
      assert.equal((await server.command(['audit', ...args])).code, 2, args.join(' '))
    const help = await server.command(['audit', '--help'])
    assert.equal(help.code, 0)
    assert.match(help.stdout, /basalt audit verify/)
  })
})

describe('retention', () => {
  test('deletes what is old, here and there, and the rest still verifies', async () => {
    await settled()
    assert.ok(files(server).length > 3)
    await admin.query(`update basalt.audit_seal set sealed_at = now() - interval '100 days' where n <= 2`)
    const [{ old }] = await server.sql(`select array_agg(id::text) as old from
      (select unnest(events) as id from basalt.audit_seal where n <= 2) as ids`)
    await sql.close(admin)
    await server.stop()
    for (const file of files(server).slice(0, 3)) fs.utimesSync(file, new Date(0), new Date(0))
    await server.launch()
    await waitFor('the old files are gone', () => path.basename(files(server)[0]) === '00000004.journal')
    assert.match(fs.readFileSync(`${folder(server)}/kept`, 'utf8'), /^4 [0-9a-f]{64}\n$/)
    await waitFor('the old rows are gone', async () => (await server.sql(
      'select count(*)::int as n from basalt.audit_event where id = any ($1)', [old]))[0].n === 0)
    assert.equal((await server.sql('select first_n::int as n from basalt.audit_kept'))[0].n, 3)
    await settled()
    await whole()
  })

  test('whoever deletes rows and all seals is found, although the server seals the rest anew', async () => {
    admin = await sql.connect(server.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
    await admin.query('delete from basalt.audit_event')
    await admin.query('delete from basalt.audit_seal')
    await signedUp(server)
    await settled()
    await found(/missing|another/)
    await waitFor('the log tells', () => server.events('audit.seals_broken').length === 1)
    await sql.close(admin)
  })
})
