// SPDX-License-Identifier: Apache-2.0
// A real SMTP server of the test's own, on a port that the system chose:
//
//   const mail = await startMail()
//   const server = await start({ settings: { smtp_url: mail.url } })
//   const letter = await mail.to(address)     waits for the next mail to that address
//   letter.link, letter.otp, letter.subject, letter.html, letter.headers
//
// mail.mode says what it does with a recipient from now on: 'ok', 'temporary' (451), 'permanent'
// (550), 'hang' (no answer), or a function from address to one of these. mail.stop() and
// mail.restart() take it away and bring it back at the same port.
import { after } from 'node:test'
import PostalMime from 'postal-mime'
import { SMTPServer } from 'smtp-server'
import { waitFor } from './wait.mjs'

const REPLIES = { temporary: [451, 'Try again later'], permanent: [550, 'No such user here'] }

const open = new Set()

const unescaped = (text) => text.replace(/&(?:#(\d+)|(amp|lt|gt|quot));/g, (_, code, name) =>
  (code ? String.fromCodePoint(Number(code)) : { amp: '&', lt: '<', gt: '>', quot: '"' }[name]))

function collected(stream) {
  return new Promise((resolve, reject) => {
    const pieces = []
    stream.on('data', (piece) => pieces.push(piece)).on('error', reject)
      .on('end', () => resolve(Buffer.concat(pieces)))
  })
}

// One mail as a reader sees it.
class Letter {
  constructor(parsed, raw, envelope) {
    this.raw = raw.toString('utf8')
    this.envelope = envelope // { from, to: [] }
    this.subject = parsed.subject
    this.html = parsed.html ?? ''
    this.text = parsed.text ?? ''
    this.from = parsed.from
    this.headers = Object.fromEntries(parsed.headers.map(({ key, value }) => [key, value]))
    this.at = performance.now()
  }

  // Where its first link leads.
  get link() {
    const found = /href="(https?:[^"]+)"/.exec(this.html)
    return found ? unescaped(found[1]) : undefined
  }

  // The code that it shows, outside of addresses and links.
  get otp() {
    const shown = `${this.subject} ${this.html.replace(/<[^>]*>/g, ' ')}`
    return /(?<!\w)\d{6,10}(?!\w)/.exec(shown.replace(/\S+(@|:\/\/)\S+/g, ' '))?.[0]
  }
}

export class MailServer {
  #server
  #taken = new Set()
  #options

  constructor({ tls = 'none', user, pass, key, cert } = {}) {
    this.mode = 'ok'
    this.letters = []
    this.attempts = [] // addresses, each time that a sender named one
    this.logins = []
    this.#options = { tls, user, pass, key, cert }
    this.port = 0
  }

  async start() {
    const { tls, user, pass, key, cert } = this.#options
    const disabledCommands = [...(user ? [] : ['AUTH']), ...(tls === 'starttls' ? [] : ['STARTTLS'])]
    this.#server = new SMTPServer({
      secure: tls === 'tls', disabledCommands, authOptional: !user, disableReverseLookup: true,
      allowInsecureAuth: true, logger: false, closeTimeout: 100, ...(key && { key, cert }),
      onAuth: (login, session, done) => {
        this.logins.push({ user: login.username, secure: session.secure })
        if (login.username === user && login.password === pass) done(null, { user })
        else done(Object.assign(new Error('Wrong user or password'), { responseCode: 535 }))
      },
      onRcptTo: ({ address }, session, done) => this.#recipient(address, done),
      onData: (stream, session, done) => this.#letter(stream, session).then(() => done(), done),
    })
    this.#server.on('error', () => {}) // a client that broke off
    await new Promise((resolve, reject) => {
      this.#server.server.once('error', reject)
      this.#server.listen(this.port, '127.0.0.1', resolve)
    })
    this.port = this.#server.server.address().port
    open.add(this)
    return this
  }

  #recipient(address, done) {
    const mode = typeof this.mode === 'function' ? this.mode(address) : this.mode
    this.attempts.push(address)
    if (mode === 'hang') return
    if (!REPLIES[mode]) return done()
    const [responseCode, text] = REPLIES[mode]
    done(Object.assign(new Error(text), { responseCode }))
  }

  async #letter(stream, session) {
    const raw = await collected(stream)
    const { mailFrom, rcptTo } = session.envelope
    const envelope = { from: mailFrom && mailFrom.address, to: rcptTo.map(({ address }) => address) }
    this.letters.push(new Letter(await PostalMime.parse(raw), raw, envelope))
  }

  // For the setting smtp_url.
  get url() {
    const { tls, user, pass } = this.#options
    const login = user ? `${encodeURIComponent(user)}:${encodeURIComponent(pass)}@` : ''
    return `${tls === 'tls' ? 'smtps' : 'smtp'}://${login}127.0.0.1:${this.port}`
  }

  // Mails that an address has got so far.
  all(address) {
    return this.letters.filter((letter) => letter.envelope.to.includes(address))
  }

  // The first mail to an address that this was not yet asked for.
  async to(address, ms = 15_000) {
    const letter = await waitFor(`a mail to ${address}`,
      () => this.all(address).find((one) => !this.#taken.has(one)), ms)
    this.#taken.add(letter)
    return letter
  }

  async stop() {
    open.delete(this)
    await new Promise((resolve) => this.#server.close(resolve))
  }

  restart() {
    return this.start()
  }
}

export const startMail = (options) => new MailServer(options).start()

after(() => Promise.all([...open].map((server) => server.stop())))
