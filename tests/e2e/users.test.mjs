// SPDX-License-Identifier: Apache-2.0
// The official client about users themselves and about administering them, with a mail server.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { createClient, isAuthApiError, isAuthWeakPasswordError } from '@supabase/supabase-js'
import { email, password, start } from '../lib/basalt.mjs'
import { claimsOf } from '../lib/jwt.mjs'
import { startMail } from '../lib/mail.mjs'

let server, mail, admin

before(async () => {
  mail = await startMail()
  server = await start({ settings: { smtp_url: mail.url, mailer_autoconfirm: 'true',
    manual_linking: true, smtp_max_frequency: '0' } })
  admin = client(server.keys.service).auth.admin
})

const client = (key = server.keys.anon, more = {}) => createClient(server.api, key, {
  auth: { autoRefreshToken: false, persistSession: false, detectSessionInUrl: false, ...more },
})

// What a call gave, or its error thrown.
async function ok(call) {
  const { data, error } = await call
  assert.equal(error, null, String(error))
  return data
}

async function signUp(auth = client().auth) {
  const address = email('js')
  return { auth, address, ...await ok(auth.signUp({ email: address, password })) }
}

async function fails(call, status, code, message) {
  const { error } = await call
  assert.ok(isAuthApiError(error), String(error))
  assert.deepEqual([error.status, error.code], [status, code], error.message)
  if (message) assert.match(error.message, message)
}

describe('oneself', () => {
  test('signInAnonymously, and what comes of it', async () => {
    const { auth } = client()
    const { user, session } = await ok(auth.signInAnonymously({ options: { data: { theme: 'dark' } } }))
    assert.equal(user.is_anonymous, true)
    assert.equal(claimsOf(session.access_token).is_anonymous, true)
    await fails(auth.updateUser({ password }), 422, 'validation_failed')
    const address = email('js')
    const { user: lasting } = await ok(auth.updateUser({ email: address, password }))
    assert.deepEqual([lasting.id, lasting.email, lasting.is_anonymous], [user.id, address, false])
    const { user: again } = await ok(client().auth.signInWithPassword({ email: address, password }))
    assert.equal(again.id, user.id)
  })

  test('updateUser: data, password, email, and their errors', async () => {
    const { auth, address } = await signUp()
    const { user } = await ok(auth.updateUser({ data: { a: 1, gone: null } }))
    assert.equal(user.user_metadata.a, 1)
    await fails(auth.updateUser({ password }), 422, 'same_password')
    const weak = (await auth.updateUser({ password: 'x' })).error
    assert.ok(isAuthWeakPasswordError(weak))
    assert.deepEqual(weak.reasons, ['length'])
    await ok(auth.updateUser({ password: 'the-next-word' }))
    await ok(client().auth.signInWithPassword({ email: address, password: 'the-next-word' }))
    await fails(auth.updateUser({ email: (await signUp()).address }), 422, 'email_exists')
    await fails(auth.updateUser({ phone: '15550001234' }), 400, 'phone_provider_disabled')
    const wanted = email('js')
    const { user: asking } = await ok(auth.updateUser({ email: wanted },
      { emailRedirectTo: `${server.api}/done` }))
    assert.deepEqual([asking.email, asking.new_email], [address, wanted])
    const link = new URL((await mail.to(wanted)).link)
    assert.equal(link.searchParams.get('redirect_to'), `${server.api}/done`)
    const answer = await ok(client().auth.verifyOtp({ token_hash: link.searchParams.get('token'),
      type: 'email_change' }))
    assert.equal(answer.user.email, wanted) // under autoconfirm one of the two mails is enough
  })

  test('reauthenticate', async () => {
    const { auth, address } = await signUp()
    await ok(auth.reauthenticate())
    const { otp } = await mail.to(address)
    assert.match(otp, /^\d{6}$/)
    await ok(auth.updateUser({ password: 'with-a-nonce', nonce: otp }))
    const nobody = client().auth
    await ok(nobody.signInAnonymously())
    await fails(nobody.reauthenticate(), 400, 'validation_failed')
  })

  test('identities: listed, not linked, the last one stays', async () => {
    const { auth } = await signUp()
    const { identities } = await ok(auth.getUserIdentities())
    assert.deepEqual(identities.map((i) => i.provider), ['email'])
    await fails(auth.unlinkIdentity(identities[0]), 422, 'single_identity_not_deletable')
    await fails(auth.linkIdentity({ provider: 'google', options: { skipBrowserRedirect: true } }), 400,
      'validation_failed', /Unsupported provider/)
    const closed = await server.beside({ smtp_url: mail.url, mailer_autoconfirm: 'true' })
    const other = createClient(closed.api, closed.keys.anon, { auth: { persistSession: false, autoRefreshToken: false } }).auth
    await ok(other.signUp({ email: email('js'), password }))
    await fails(other.linkIdentity({ provider: 'google' }), 404, 'manual_linking_disabled')
  })

  test('a common password is told with the session', async () => {
    const { weakPassword, user } = await ok(client().auth.signUp({ email: email('js'), password: 'password123' }))
    assert.ok(user)
    const again = await ok(client().auth.signInWithPassword({ email: user.email, password: 'password123' }))
    assert.deepEqual(again.weakPassword.reasons, ['pwned'])
    assert.equal(weakPassword, undefined, 'the client hands it on at login only')
  })
})

describe('administration', () => {
  test('inviteUserByEmail', async () => {
    const address = email('js')
    const { user } = await ok(admin.inviteUserByEmail(address, { data: { plan: 'x' },
      redirectTo: `${server.api}/welcome` }))
    assert.deepEqual([user.email, user.user_metadata], [address, { plan: 'x' }])
    const link = new URL((await mail.to(address)).link)
    assert.equal(link.searchParams.get('redirect_to'), `${server.api}/welcome`)
    const { session } = await ok(client().auth.verifyOtp({ type: 'invite',
      token_hash: link.searchParams.get('token') }))
    assert.equal(session.user.id, user.id)
    await fails(admin.inviteUserByEmail(address), 422, 'email_exists')
  })

  test('generateLink of every type', async () => {
    const known = await ok(admin.createUser({ email: email('js'), email_confirm: true }))
    const wanted = email('js')
    const links = [
      { type: 'signup', email: email('js'), password, options: { data: { a: 1 } } },
      { type: 'invite', email: email('js') },
      { type: 'magiclink', email: known.user.email }, { type: 'recovery', email: known.user.email },
      { type: 'email_change_current', email: known.user.email, newEmail: wanted },
      { type: 'email_change_new', email: known.user.email, newEmail: wanted }]
    for (const ask of links) {
      const { properties, user } = await ok(admin.generateLink(ask))
      assert.equal(user.email, ask.email)
      assert.equal(properties.verification_type, ask.type)
      assert.equal(user.action_link, undefined)
      const type = ask.type.startsWith('email_change') ? 'email_change' : ask.type
      const opened = await client().auth.verifyOtp({ type, token_hash: properties.hashed_token })
      assert.equal(opened.error, null, `${ask.type}: ${opened.error}`)
      if (ask.type === 'email_change_current') break // under autoconfirm that was all
    }
    assert.equal((await ok(admin.getUserById(known.user.id))).user.email, wanted)
    await fails(admin.generateLink({ type: 'recovery', email: email('js') }), 404, 'user_not_found')
  })

  test('updateUserById: every field', async () => {
    const { user, address } = await signUp()
    const next = email('js')
    const phone = `1558${Math.floor(1e6 + Math.random() * 9e6)}`
    const { user: changed } = await ok(admin.updateUserById(user.id, { email: next,
      email_confirm: true, phone, phone_confirm: true, password: 'set-by-admin', role: 'editor',
      user_metadata: { a: 1 }, app_metadata: { plan: 'gold' }, ban_duration: '1h30m' }))
    assert.deepEqual([changed.email, changed.phone, changed.role, changed.user_metadata.a,
      changed.app_metadata.plan], [next, phone, 'editor', 1, 'gold'])
    assert.ok(changed.phone_confirmed_at && changed.email_confirmed_at)
    assert.ok(Date.parse(changed.banned_until) > Date.now() + 3_600_000)
    await fails(client().auth.signInWithPassword({ email: next, password: 'set-by-admin' }), 400, 'user_banned')
    await ok(admin.updateUserById(user.id, { ban_duration: 'none' }))
    await ok(client().auth.signInWithPassword({ email: next, password: 'set-by-admin' }))
    await fails(client().auth.signInWithPassword({ email: address, password }), 400, 'invalid_credentials')
    await fails(admin.updateUserById(user.id, { ban_duration: 'soon' }), 400, 'validation_failed')
    await fails(admin.updateUserById(crypto.randomUUID(), { role: 'x' }), 404, 'user_not_found')
  })

  test('deleteUser, also softly; listUsers pages', async () => {
    const [hard, soft] = [await signUp(), await signUp()]
    await ok(admin.deleteUser(hard.user.id))
    await fails(admin.getUserById(hard.user.id), 404, 'user_not_found')
    await ok(admin.deleteUser(soft.user.id, true))
    const { user } = await ok(admin.getUserById(soft.user.id))
    assert.ok(user.deleted_at)
    assert.match(user.email, /^[\w-]{43}$/)
    await fails(client().auth.signInWithPassword({ email: soft.address, password }), 400, 'invalid_credentials')
    const { users, total, nextPage, lastPage } = await ok(admin.listUsers({ page: 1, perPage: 2 }))
    assert.equal(users.length, 2)
    assert.equal(nextPage, 2)
    assert.equal(lastPage, Number(String(Math.ceil(total / 2))[0])) // the client reads one digit
  })
})
