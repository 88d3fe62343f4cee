// SPDX-License-Identifier: Apache-2.0
// The command line beside a running server: help, version, key, doctor, psql, migrate.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { command, scratch, signedUp, start } from '../lib/basalt.mjs'

let server

before(async () => {
  server = await start()
})

const names = ['serve', 'stop', 'status', 'migrate', 'doctor', 'key', 'emergency', 'user', 'mail', 'psql']

describe('help', () => {
  test('lists every command, and each tells with examples', async () => {
    for (const args of [['--help'], ['help'], ['-h']]) {
      const all = await command(args)
      assert.equal(all.code, 0)
      for (const name of names) assert.match(all.stdout, new RegExp(`basalt ${name}\\b`))
    }
    for (const name of names) {
      const help = await command([name, '--help'])
      assert.equal(help.code, 0, name)
      assert.match(help.stdout, new RegExp(`^Usage: basalt ${name}`))
      assert.match(help.stdout, new RegExp(`\n  .*basalt ${name}`), 'an example')
    }
  })

  test('serve --help lists every setting', async () => {
    const { stdout } = await command(['serve', '--help'])
    for (const name of ['listen', 'admin-listen', 'database-url', 'pool-size', 'request-timeout',
      'jwt-secret', 'mailer-autoconfirm', 'profile-table', 'rate-limits'])
      assert.match(stdout, new RegExp(`--${name}\\b`))
  })

  test('no command, an unknown one, too many words', async () => {
    for (const [args, words] of [[[], /basalt serve/], [['sevre'], /there is no command "sevre"/],
      [['serve', 'now'], /settings only/], [['status', '-o', 'xml'], /env or json/],
      [['key', 'lose'], /it takes list .*or renew/]]) {
      const done = await command(args, args.length ? { data: scratch() } : {})
      assert.equal(done.code, 2, args.join(' '))
      assert.match(done.stderr, words)
    }
    assert.match((await command(['--version'])).stdout, /^basalt \d+\.\d+\.\d+/)
  })
})

describe('beside a server', () => {
  test('key lists what status tells', async () => {
    const done = await server.command(['key', 'list'])
    assert.equal(done.code, 0, done.stderr)
    for (const key of Object.values(server.keys)) assert.ok(done.stdout.includes(key))
  })

  test('doctor finds nothing to mend; names what an app forgot', async () => {
    const done = await server.command(['doctor'])
    assert.equal(done.code, 0, done.stdout + done.stderr)
    assert.match(done.stdout, /a server runs at/)
    assert.match(done.stdout, /PostgreSQL \d+ answers/)
    assert.doesNotMatch(done.stdout, /^MEND/m)
    await server.sql('create table public.forgotten (id int)')
    try {
      assert.match((await server.command(['doctor'])).stdout, /row level security/)
    } finally {
      await server.sql('drop table public.forgotten')
    }
    const nobody = await command(['doctor'], { data: scratch() })
    assert.match(nobody.stdout, /no server is running.*basalt serve/)
  })

  test('psql is role postgres, and its arguments show no password', async () => {
    const psql = (sql) => command(['psql', '--data', server.data, '--', '-Atc', sql])
    const done = await psql('select current_user')
    assert.equal(done.code, 0, done.stderr)
    assert.equal(done.stdout, 'postgres\n')
    const shown = await psql('\\! tr "\\0" " " < /proc/$PPID/cmdline')
    assert.match(shown.stdout, /psql .*postgres.*sock/)
    const password = /\/\/postgres:([^@]*)@/.exec(server.db)[1]
    assert.ok(!shown.stdout.includes(password))
  })

  test('migrate has nothing left to do', async () => {
    const done = await server.command(['migrate', '--dry-run'])
    assert.equal(done.code, 0, done.stderr)
    assert.match(done.stdout, /^0 pending/m)
    const again = await server.command(['migrate'])
    assert.equal(again.code, 0, again.stderr)
    assert.match(again.stdout, /^0 applied/m)
  })

  test('key renew: the former sb_ keys end, the others stay', async () => {
    const user = await signedUp(server)
    const before = { ...server.keys }
    const done = await server.command(['key', 'renew'])
    assert.equal(done.code, 0, done.stderr)
    await server.restart()
    assert.equal(server.keys.anon, before.anon)
    assert.equal(server.keys.service, before.service)
    assert.notEqual(server.keys.secret, before.secret)
    assert.ok(done.stdout.includes(server.keys.publishable))
    const settings = (key) => server.auth('GET', '/settings', { key })
    for (const [key, status] of [[before.publishable, 401], [before.secret, 401],
      [server.keys.publishable, 200], [server.keys.secret, 200], [before.anon, 200]])
      assert.equal((await settings(key)).status, status)
    assert.equal((await server.auth('GET', '/user', { token: user.token })).status, 200)
  })
})
