// SPDX-License-Identifier: Apache-2.0
// A Redis of the test's own: a real server on a socket in a scratch folder, ended by its pid.
import { after } from 'node:test'
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { scratch } from './basalt.mjs'
import { waitFor, within } from './wait.mjs'

const running = new Set()
const programs = ['redis-server', 'valkey-server']
const program = programs.find((name) => spawnSync(name, ['--version']).status === 0) ?? programs[0]

export class Redis {
  constructor({ password } = {}) {
    this.folder = scratch()
    fs.chmodSync(this.folder, 0o777) // a server started as root becomes another user
    this.socket = path.join(this.folder, 'redis.sock')
    this.url = `unix://${this.socket}`
    this.password = password
  }

  async start({ port = 0 } = {}) {
    const args = ['--port', port, '--bind', '127.0.0.1', '--unixsocket', this.socket,
      '--unixsocketperm', '777', '--save', '', '--appendonly', 'no', '--dir', this.folder,
      '--daemonize', 'no', ...(this.password ? ['--requirepass', this.password] : [])]
    this.child = spawn(program, args.map(String), { stdio: 'ignore' })
    this.exited = new Promise((resolve) => this.child.on('exit', resolve))
    running.add(this)
    await waitFor('Redis', async () => /PONG|NOAUTH/.test(await this.say('PING')))
    return this
  }

  // One inline command; what came back first, as text.
  say(command) {
    return within(5000, `Redis: ${command}`, new Promise((resolve, reject) => {
      const socket = net.connect(this.socket, () => socket.write(`${command}\r\n`))
      socket.on('error', reject)
      socket.on('data', (bytes) => { resolve(bytes.toString()); socket.destroy() })
    }))
  }

  signal(name) {
    process.kill(this.child.pid, name)
  }

  async stop() {
    this.signal('SIGCONT')
    this.signal('SIGKILL')
    await this.exited
    running.delete(this)
  }
}

after(() => Promise.all([...running].map((redis) => redis.stop())))
process.on('exit', () => { for (const redis of running) redis.signal('SIGKILL') })
