// SPDX-License-Identifier: Apache-2.0
// supabase-js verifies tokens of a key pair by itself: getClaims() asks for the public keys, not the user.
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { createClient } from '@supabase/supabase-js'
import { email, password, start } from '../lib/basalt.mjs'
import { headerOf } from '../lib/jwt.mjs'
import { waitFor } from '../lib/wait.mjs'

let server

before(async () => {
  server = await start()
})

for (const alg of ['ES256', 'RS256']) {
  test(`getClaims verifies ${alg} without asking for the user`, async () => {
    const asked = []
    const supabase = createClient(server.api, server.keys.publishable, {
      auth: { autoRefreshToken: false, persistSession: false },
      global: { fetch: (url, init) => (asked.push(new URL(url).pathname), fetch(url, init)) },
    })
    const signedIn = await supabase.auth.signUp({ email: email(), password })
    assert.equal(signedIn.error, null)
    const done = await server.command(['key', 'rotate', alg])
    assert.equal(done.code, 0, done.stderr)
    const session = await waitFor('the new key signs', async () => { // by a refresh: nobody is logged out
      const { data, error } = await supabase.auth.refreshSession()
      assert.equal(error, null)
      return headerOf(data.session.access_token).alg === alg && data.session
    })
    asked.length = 0
    const { data, error } = await supabase.auth.getClaims()
    assert.equal(error, null)
    assert.equal(data.claims.sub, signedIn.data.user.id)
    assert.equal(data.header.alg, alg)
    assert.deepEqual(asked, ['/auth/v1/.well-known/jwks.json'])
    const [head, payload, signature] = session.access_token.split('.')
    const changed = JSON.parse(Buffer.from(payload, 'base64url'))
    changed.role = 'service_role'
    const forged = [head, Buffer.from(JSON.stringify(changed)).toString('base64url'), signature].join('.')
    assert.ok((await supabase.auth.getClaims(forged)).error)
  })
}
