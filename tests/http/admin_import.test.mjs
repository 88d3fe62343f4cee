// SPDX-License-Identifier: Apache-2.0
// password_hash of POST /auth/v1/admin/users: users come over with the passwords they have.
import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { before, test } from 'node:test'
import { email, start } from '../lib/basalt.mjs'
import { refused } from '../lib/refused.mjs'

let server

before(async () => {
  server = await start()
})

const create = (json, more = {}) => server.service('POST', '/admin/users',
  { json: { email: email('import'), email_confirm: true, ...json }, ...more })
const login = (address, word) => server.auth('POST', '/token?grant_type=password',
  { json: { email: address, password: word } })

// As Firebase makes them (github.com/firebase/scrypt), with a key of this test's own.
function firebase(word) {
  const [signer, salt, separator] = [crypto.randomBytes(64), crypto.randomBytes(12), Buffer.from([7])]
  const key = crypto.scryptSync(word, Buffer.concat([salt, separator]), 32,
    { N: 2 ** 14, r: 8, p: 1, maxmem: 64 * 1024 * 1024 })
  const cipher = crypto.createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
  const hash = Buffer.concat([cipher.update(signer), cipher.final()])
  const text = (bytes) => bytes.toString('base64')
  return `$fbscrypt$v=1,n=14,r=8,p=1,ss=${text(separator)},sk=${text(signer)}$${text(salt)}$${text(hash)}`
}

const bcrypt = (letter) => `$2${letter}$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW`

const forms = {
  'bcrypt 2a': [bcrypt('a'), 'U*U'],
  'bcrypt 2b': [bcrypt('b'), 'U*U'],
  'bcrypt 2y': [bcrypt('y'), 'U*U'],
  argon2id: ['$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc',
    'password'],
  argon2i: ['$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA',
    'password'],
  'Firebase scrypt': [firebase('söme-wörd'), 'söme-wörd'],
}

for (const [name, [hash, word]] of Object.entries(forms)) {
  test(`${name}: the password is theirs, and hashed anew at the first login`, async () => {
    const made = await create({ password_hash: hash })
    assert.equal(made.status, 200, made.text)
    const stored = async () => (await server.sql(
      'select encrypted_password as p from auth.users where id = $1', [made.json.id]))[0].p
    assert.equal(await stored(), hash)
    assert.equal((await login(made.json.email, `${word}x`)).status, 400)
    assert.equal(await stored(), hash, 'a wrong password changes nothing')
    assert.equal((await login(made.json.email, word)).status, 200)
    assert.match(await stored(), /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    assert.equal((await login(made.json.email, word)).status, 200)
    assert.equal((await login(made.json.email, `${word}x`)).status, 400)
  })
}

test('what cannot be checked, or costs too much, is refused', async () => {
  for (const hash of ['md5', '$1$abc$def', '$argon2d$v=19$m=256,t=2,p=2$c29tZXNhbHQ$x',
    '$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW',
    firebase('x').replace('n=14', 'n=20'), 'x'.repeat(256)])
    await refused((version) => create({ password_hash: hash }, { version }), 400,
      'validation_failed')
  await refused((version) => create({ password: 'some-word', password_hash: bcrypt('a') },
    { version }), 400, 'validation_failed',
  'Only a password or a password hash should be provided')
})
