// SPDX-License-Identifier: Apache-2.0
// A data folder that cannot be used: refused in one sentence that names the folder and the mend, by
// `basalt serve` and by `basalt doctor`, and nothing is made. Where we are root the server's user
// is another one, who must reach the folder.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { command, scratch, Server } from '../lib/basalt.mjs'

const root = process.getuid() === 0

async function refused(data, what) {
  const home = path.dirname(data)
  const serve = await command(['serve'], { data,
    settings: { listen: '127.0.0.1:0', admin_listen: '127.0.0.1:0' } })
  assert.equal(serve.code, 1, serve.stderr)
  const said = serve.stderr.split('\n').filter((line) => line && !line.startsWith('{'))
  assert.equal(said.length, 1, serve.stderr)
  assert.match(said[0], what)
  const doctor = await command(['doctor'], { data })
  assert.equal(doctor.code, 1, `${home}: ${doctor.stdout}${doctor.stderr}`)
  assert.match(doctor.stdout, what)
}

describe('refused', () => {
  test('behind a folder that the user may not enter', { skip: !root }, async () => {
    const closed = path.join(scratch(), 'closed')
    fs.mkdirSync(closed, { mode: 0o700 })
    const mend = new RegExp(`user basalt cannot reach .*: chmod o\\+x ${closed}, or .*--data`)
    await refused(path.join(closed, 'data'), mend)
    assert.deepEqual(fs.readdirSync(closed), [])
    fs.mkdirSync(path.join(closed, 'there'))
    await refused(path.join(closed, 'there'), mend)
  })

  test('a folder with somebody else\'s files', { skip: !root }, async () => {
    const data = path.join(scratch(), 'data')
    fs.mkdirSync(data)
    fs.writeFileSync(path.join(data, 'letter'), 'mine')
    await refused(data, /user basalt cannot write .*data: give it to that user .*--data/)
    assert.deepEqual(fs.readdirSync(data), ['letter'])
  })

  test('a folder that we may not write', { skip: root }, async () => {
    const data = path.join(scratch(), 'data')
    fs.mkdirSync(data, { mode: 0o500 })
    await refused(data, /data cannot be made or written: choose another with --data/)
  })

  test('a file in the way', async () => {
    const file = path.join(scratch(), 'file')
    fs.writeFileSync(file, '')
    await refused(file, /file is no folder: choose another with --data/)
    await refused(path.join(file, 'data'), /file is no folder: choose another with --data/)
  })

  test('made by a PostgreSQL that is not here, or by none', async () => {
    const server = new Server()
    await server.launch()
    await server.stop()
    const version = path.join(server.data, 'pg/PG_VERSION')
    fs.writeFileSync(version, '9\n')
    await refused(server.data, /made by PostgreSQL 9, here is only \d+: install postgresql-9, or/)
    fs.writeFileSync(version, 'x\n')
    await refused(server.data, /is not PostgreSQL's data folder: move it away or .*--data/)
  })
})

test('an empty folder of root\'s becomes the user\'s; folders between stay root\'s', { skip: !root },
  async () => {
    const server = new Server()
    fs.mkdirSync(server.data, { mode: 0o755 })
    await server.launch()
    const { uid, mode } = fs.statSync(server.data)
    assert.notEqual(uid, 0)
    assert.equal(mode & 0o777, 0o700)
    await server.stop()
    const deep = new Server({ data: path.join(scratch(), 'a/b/data') })
    await deep.launch()
    assert.equal(fs.statSync(deep.data).uid, uid)
    assert.equal(fs.statSync(path.dirname(deep.data)).uid, 0)
  })
