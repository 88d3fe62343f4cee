// SPDX-License-Identifier: Apache-2.0
// malformed.json on raw sockets: each row's bytes, then one request more on the same connection.
// A row's `raw` holds one byte per character; {{x*n}} stands for n times x. `expect` is the status
// with which the connection ends, so that what was smuggled behind is never answered, or "ok": the
// request is understood (whatever is answered), and the one behind it is answered too.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { before, test } from 'node:test'
import { start } from '../lib/basalt.mjs'
import { RawConnection } from '../lib/http.mjs'

const rows = JSON.parse(readFileSync(new URL('malformed.json', import.meta.url)))
const behind = 'GET /auth/v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n'
let server

before(async () => {
  server = await start({ settings: { rate_limits: 'off' } })
})

function bytes(raw) {
  const text = raw.replace(/\{\{(.)\*(\d+)\}\}/g, (_, x, n) => x.repeat(Number(n)))
  return Buffer.from(text, 'latin1')
}

async function refused(connection, status) {
  const answer = await connection.answer()
  assert.equal(answer?.status, status)
  assert.equal(answer.headers.connection, 'close')
  assert.ok(answer.headers['x-request-id'], 'a refused head has a request id too')
  assert.ok(answer.headers['access-control-allow-origin'], 'and CORS headers')
  assert.equal(await connection.ending(), '', 'nothing behind it is answered')
}

async function understood(connection) {
  const answer = await connection.answer()
  assert.equal(answer?.headers.connection, 'keep-alive', `status ${answer?.status}`)
  assert.ok(await connection.answer(), 'the request behind it is answered')
}

for (const { name, raw, expect } of rows) {
  test(name, async () => {
    const connection = await RawConnection.open(server.api)
    try {
      connection.send(Buffer.concat([bytes(raw), Buffer.from(behind)]))
      await (expect === 'ok' ? understood(connection) : refused(connection, expect))
    } finally {
      connection.close()
    }
  })
}

test('the server is still there', async () => {
  const connection = await RawConnection.open(server.api)
  connection.send(behind)
  assert.ok(await connection.answer())
  connection.close()
})
