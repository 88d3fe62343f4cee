// SPDX-License-Identifier: Apache-2.0
// Two HTTP clients: call() for ordinary requests, and RawConnection, which sends the bytes it is
// given and parses answers strictly, for what no ordinary client would do.
import http from 'node:http'
import net from 'node:net'
import { within } from './wait.mjs'

const CALL_MS = 30_000

// One request. `json` is sent as its JSON text, `body` as it is. The answer: status, headers (lower
// case), text, and json when it is JSON.
export function call(url, { method = 'GET', headers = {}, json, body, agent, signal } = {}) {
  const sent = json === undefined ? body : JSON.stringify(json)
  const fields = { ...headers }
  if (sent !== undefined) {
    fields['content-type'] ??= 'application/json'
    fields['content-length'] = Buffer.byteLength(sent)
  }
  const answer = new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers: fields, agent, signal }, (response) => {
      const chunks = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        if (!response.complete) return reject(new Error('the answer was cut short'))
        resolve(answerOf(response.statusCode, response.headers, Buffer.concat(chunks)))
      })
    })
    request.on('error', reject)
    if (sent !== undefined) request.write(sent)
    request.end()
  })
  return within(CALL_MS, `${method} ${url}`, answer)
}

function answerOf(status, headers, bytes) {
  const text = bytes.toString('utf8')
  let json
  try {
    json = JSON.parse(text)
  } catch {
    json = undefined
  }
  return { status, headers, text, json }
}

export class RawConnection {
  #socket
  #bytes = Buffer.alloc(0)
  #ended = false
  #failed
  #wake = () => {}

  static async open(url) {
    const { hostname, port } = new URL(url)
    const connection = new RawConnection()
    await within(5000, `connecting to ${url}`, connection.#connect(hostname, Number(port)))
    return connection
  }

  #connect(host, port) {
    return new Promise((resolve, reject) => {
      this.#socket = net.connect({ host, port, allowHalfOpen: true }, resolve)
      this.#socket.setNoDelay(true)
      this.#socket.on('data', (chunk) => {
        this.#bytes = Buffer.concat([this.#bytes, chunk])
        this.#wake()
      })
      const end = (error) => {
        this.#ended = true
        if (error) this.#failed = error
        reject(error ?? new Error('closed'))
        this.#wake()
      }
      this.#socket.on('end', () => end())
      this.#socket.on('close', () => end())
      this.#socket.on('error', end)
    })
  }

  get socket() {
    return this.#socket
  }

  get ended() {
    return this.#ended
  }

  send(data) {
    if (!this.#socket.destroyed) this.#socket.write(data)
    return this
  }

  half() {
    this.#socket.end()
    return this
  }

  close() {
    this.#socket.destroy()
  }

  async #until(ready, ms, what) {
    await within(ms, what, (async () => {
      while (!ready()) await new Promise((resolve) => (this.#wake = resolve))
    })())
  }

  #take(n) {
    const taken = this.#bytes.subarray(0, n)
    this.#bytes = this.#bytes.subarray(n)
    return taken
  }

  async #head(ms) {
    const end = () => this.#bytes.indexOf('\r\n\r\n')
    await this.#until(() => end() >= 0 || this.#ended, ms, 'an answer')
    if (end() < 0) {
      if (this.#bytes.length) throw new Error(`cut short: ${JSON.stringify(this.#bytes.toString())}`)
      return null
    }
    return this.#take(end() + 4).toString('latin1')
  }

  async #body(headers, bodyless, ms) {
    if (bodyless) return Buffer.alloc(0)
    if (headers['transfer-encoding'] === 'chunked') return this.#chunks(ms)
    const n = Number(headers['content-length'] ?? 0)
    await this.#until(() => this.#bytes.length >= n || this.#ended, ms, 'the answer\'s body')
    if (this.#bytes.length < n) throw new Error('the answer\'s body was cut short')
    return this.#take(n)
  }

  async #line(ms) {
    const end = () => this.#bytes.indexOf('\r\n')
    await this.#until(() => end() >= 0 || this.#ended, ms, 'a line')
    if (end() < 0) throw new Error('cut short in a chunk')
    return this.#take(end() + 2).toString('latin1').slice(0, -2)
  }

  async #chunks(ms) {
    const parts = []
    for (;;) {
      const n = Number.parseInt(await this.#line(ms), 16)
      await this.#until(() => this.#bytes.length >= n + 2 || this.#ended, ms, 'a chunk')
      parts.push(this.#take(n))
      this.#take(2)
      if (n === 0) return Buffer.concat(parts)
    }
  }

  // The next answer, null when the connection ended cleanly instead. `method` is the request's, since
  // HEAD has no body.
  async answer({ method = 'GET', ms = 15_000 } = {}) {
    const head = await this.#head(ms)
    if (head === null) return null
    const [first, ...lines] = head.slice(0, -4).split('\r\n')
    const m = /^HTTP\/1\.1 (\d{3}) [ -~]+$/.exec(first)
    if (!m) throw new Error(`bad status line ${JSON.stringify(first)}`)
    const headers = {}
    for (const line of lines) {
      const field = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t -~\x80-\xff]*)$/.exec(line)
      if (!field) throw new Error(`bad header line ${JSON.stringify(line)}`)
      const name = field[1].toLowerCase()
      headers[name] = name in headers ? `${headers[name]}, ${field[2]}` : field[2]
    }
    const status = Number(m[1])
    const bodyless = method === 'HEAD' || status === 204 || status === 304 || status < 200
    return answerOf(status, headers, await this.#body(headers, bodyless, ms))
  }

  // Resolves once the server has ended the connection; what was left unread comes back.
  async ending(ms = 15_000) {
    await this.#until(() => this.#ended, ms, 'the connection\'s end')
    return this.#bytes.toString('latin1')
  }
}

// Sends bytes on a connection of their own and collects every answer until the server ends it, or
// until `count` of them are there.
export async function exchange(url, bytes, { count = Infinity, methods = [], ms } = {}) {
  const connection = await RawConnection.open(url)
  try {
    connection.send(bytes)
    const answers = []
    while (answers.length < count) {
      const answer = await connection.answer({ method: methods[answers.length], ms })
      if (!answer) break
      if (answer.status >= 200) answers.push(answer)
    }
    return answers
  } finally {
    connection.close()
  }
}
