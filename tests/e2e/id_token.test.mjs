// SPDX-License-Identifier: Apache-2.0
// signInWithIdToken of the official client, against a provider of the test's own.
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { createClient } from '@supabase/supabase-js'
import { email, start } from '../lib/basalt.mjs'
import { nonceOf, provider } from '../lib/provider.mjs'

let google, server

before(async () => {
  google = await provider()
  server = await start({
    settings: { google_enabled: true, google_client_id: 'app-web', google_keys_url: google.url },
  })
})

const client = () => createClient(server.api, server.keys.anon, { auth: { persistSession: false, autoRefreshToken: false } })

test('supabase-js signs in with a Google ID token and stays signed in', async () => {
  const supabase = client()
  const who = { sub: '1', email: email('js'), email_verified: true, name: 'Grace', nonce: nonceOf('once') }
  const { data, error } = await supabase.auth.signInWithIdToken(
    { provider: 'google', token: google.token(who), nonce: 'once' })
  assert.equal(error, null)
  assert.equal(data.user.email, who.email)
  assert.equal(data.user.app_metadata.provider, 'google')
  assert.equal((await supabase.auth.getUser()).data.user.id, data.user.id)
  assert.equal((await supabase.auth.refreshSession()).error, null)
})

test('supabase-js is told what is wrong', async () => {
  const { error } = await client().auth.signInWithIdToken(
    { provider: 'google', token: google.token({ sub: '2', aud: 'other' }) })
  assert.equal(error.status, 400)
  assert.equal(error.message, 'Unacceptable audience in id_token')
})
