// SPDX-License-Identifier: Apache-2.0
// A service that a server under test calls, of the test's own, on a port that the system chose. It
// keeps what it was asked and answers as it is told:
//
//   const upstream = await startUpstream((request) => ({ json: { success: true } }))
//   upstream.url, upstream.requests     each { method, path, headers, text, json, form }
//   upstream.answer = …                 from now on
//
// An answer: { status = 200, headers, json | text }, or the words 'hang' (never) and 'drop' (breaks
// the connection off); or a function of the request that gives one.
import { after } from 'node:test'
import http from 'node:http'

const open = new Set()

after(() => Promise.all([...open].map((upstream) => upstream.stop())))

async function read(message) {
  const pieces = []
  for await (const piece of message) pieces.push(piece)
  return Buffer.concat(pieces).toString('utf8')
}

function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

class Upstream {
  #server
  requests = []
  answer

  constructor(answer) {
    this.answer = answer
  }

  async start(port = 0) {
    this.#server = http.createServer((message, response) =>
      this.#serve(message, response).catch(() => message.socket.destroy()))
    await new Promise((resolve, reject) =>
      this.#server.once('error', reject).listen(port, '127.0.0.1', resolve))
    this.port = this.#server.address().port
    this.url = `http://127.0.0.1:${this.port}`
    open.add(this)
    return this
  }

  async #serve(message, response) {
    const text = await read(message)
    const request = { method: message.method, path: message.url, headers: message.headers, text,
      json: parsed(text), form: Object.fromEntries(new URLSearchParams(text)) }
    this.requests.push(request)
    const answer = typeof this.answer === 'function' ? await this.answer(request) : this.answer
    if (answer === 'hang') return
    if (answer === 'drop') return message.socket.destroy()
    const { status = 200, headers = {}, json } = answer
    const body = json === undefined ? answer.text ?? '' : JSON.stringify(json)
    response.writeHead(status, {
      ...(json === undefined ? {} : { 'content-type': 'application/json' }), ...headers })
    response.end(status === 204 ? undefined : body)
  }

  stop() {
    open.delete(this)
    this.#server.closeAllConnections()
    return new Promise((resolve) => this.#server.close(resolve))
  }

  // At the same port again.
  restart() {
    return this.start(this.port)
  }
}

export const startUpstream = (answer = { json: {} }) => new Upstream(answer).start()
