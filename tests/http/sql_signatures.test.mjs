// SPDX-License-Identifier: Apache-2.0
// Every statement of src/*/sql on a running server's database, as the login that runs it there: it
// may be planned with that login's rights, and takes and gives the types that its signature says.
// (tools/check_schema does the same as superuser on a bare PostgreSQL.)
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { start } from '../lib/basalt.mjs'
import { session } from '../lib/sql.mjs'

const source = fileURLToPath(new URL('../../src', import.meta.url))
const logins = { auth: 'DB_AUTH_PASSWORD', audit: 'DB_AUTH_PASSWORD', jobs: 'DB_AUTH_PASSWORD',
  guard: 'DB_AUTH_PASSWORD' }
let server

before(async () => {
  server = await start()
})

function statements() {
  const out = []
  for (const folder of fs.readdirSync(source)) {
    const sql = path.join(source, folder, 'sql')
    if (!fs.existsSync(sql)) continue
    for (const file of fs.readdirSync(sql).filter((name) => name.endsWith('.sql')).sort())
      out.push({ folder, name: file.slice(0, -4), text: fs.readFileSync(path.join(sql, file), 'utf8') })
  }
  return out
}

const fields = (text) => text.split(',').map((field) => field.trim()).filter(Boolean)
  .map((field) => {
    const [name, ...type] = field.split(' ')
    return { name, type: type.join(' ').replace(/\?$/, '') }
  })

function signatureOf({ name, text }) {
  const comment = /^(--[^\n]*\n)+/.exec(text)[0].replace(/^-- ?/gm, '').replace(/\n/g, ' ')
  const m = /^([a-z0-9_]+)\((.*?)\)\s*->\s*\((.*?)\)/.exec(comment)
  assert.equal(m?.[1], name)
  return { params: fields(m[2]), columns: fields(m[3]) }
}

for (const statement of statements()) {
  test(`${statement.folder}/${statement.name}`, async () => {
    const secret = logins[statement.folder]
    assert.ok(secret, `say here who logs in for src/${statement.folder}/sql`)
    const { params, columns } = signatureOf(statement)
    const db = await session(server.urlAs('supabase_auth_admin', secret))
    try {
      const types = params.map(({ type }) => type).join(', ')
      await db.rows(`prepare checked ${types ? `(${types})` : ''} as ${statement.text}`)
      const [row] = await db.rows(`select
        (select array_agg(t::text order by n) from unnest(parameter_types) with ordinality u(t, n)),
        (select array_agg(x::regtype::text order by n)
          from unnest($1::text[]) with ordinality v(x, n)) as wanted
        from pg_prepared_statements where name = 'checked'`, [params.map(({ type }) => type)])
      assert.deepEqual(row.array_agg, row.wanted)
      // planning under this login shows a missing right
      await db.rows('begin')
      const nulls = params.map(() => 'null').join(', ')
      await db.rows(`explain execute checked${nulls ? `(${nulls})` : ''}`)
      await db.rows('rollback')
      if (columns.length === 0) return
      const described = await describeRow(db, statement.text, params)
      const [{ wanted }] = await db.rows(`select array_agg(x::regtype::oid::int order by n) as wanted
        from unnest($1::text[]) with ordinality v(x, n)`, [columns.map(({ type }) => type)])
      const asText = (oid) => (oid === 1043 ? 25 : oid) // varchar is read as text
      assert.deepEqual(described.map(asText), wanted.map(asText))
    } finally {
      await db.close()
    }
  })
}

// The OIDs of the columns: told before the statement runs, which with nulls may well fail.
async function describeRow(db, text, params) {
  const body = params.reduce((sql, { type }, i) =>
    sql.replace(new RegExp(`\\$${i + 1}(?![0-9])`, 'g'), `(null::${type})`), text)
  let described
  db.client.connection.once('rowDescription', (message) => (described = message.fields))
  await db.rows('begin')
  await db.client.query({ text: body, queryMode: 'extended' }).catch(() => {})
  await db.rows('rollback')
  return described.map((field) => field.dataTypeID)
}
