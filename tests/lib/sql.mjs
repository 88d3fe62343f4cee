// SPDX-License-Identifier: Apache-2.0
// SQL as an ordinary driver sends it. Connections are closed at the test file's end.
import { after } from 'node:test'
import pg from 'pg'

// 64-bit numbers and timestamps stay the text that PostgreSQL wrote.
const types = { getTypeParser: (oid, format) => (oid === 20 || oid === 1184 || oid === 1114
  ? (text) => text
  : pg.types.getTypeParser(oid, format)) }

const open = new Set()
after(closeAll)

export async function connect(url, more = {}) {
  const client = new pg.Client({ connectionString: url, types, ...more })
  client.on('error', () => {}) // a server that a test kills; the next query says so
  await client.connect()
  open.add(client)
  return client
}

export async function close(client) {
  open.delete(client)
  await client.end().catch(() => {})
}

export async function closeAll() {
  await Promise.all([...open].map(close))
}

// A session that stays, with rows(text, values) for short.
export async function session(url, more) {
  const client = await connect(url, more)
  return {
    client,
    rows: async (text, values) => (await client.query(text, values)).rows,
    close: () => close(client),
  }
}
