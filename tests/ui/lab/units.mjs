// SPDX-License-Identifier: Apache-2.0
// Runs tests/ui/unit/*.test.mjs, the tests of the page's modules that need no browser, by node's own runner. As a program
// of its own, a line of JSON a test: the runner leaves listeners on its process that would keep errors from the cases.
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import readline from 'node:readline'
import { run } from 'node:test'
import { fileURLToPath } from 'node:url'

const FILE_MS = 30000

// One file at a time: not every node says which file an event is from.
async function* events(file) {
  for await (const event of run({ files: [file], concurrency: 1, timeout: FILE_MS })) {
    if (event.type === 'test:stderr') process.stderr.write(event.data.message) // why a file does not load
    if (event.type === 'test:pass' || event.type === 'test:fail') yield { bad: event.type === 'test:fail', ...event.data }
  }
}

function because({ error }) {
  const cause = error?.cause ?? error
  return String(cause?.stack ?? cause ?? 'no reason given')
}

// A file that does not load or has no test is a failed test.
async function* tested(folder) {
  for (const file of fs.readdirSync(folder).filter((f) => f.endsWith('.test.mjs')).sort()) {
    const at = path.join(folder, file)
    const of = `unit.${file.replace('.test.mjs', '')}`
    let tests = 0
    let whole = null // some versions of node wrap a file's tests in one for the file
    for await (const event of events(at)) {
      if (event.name === at || event.name.endsWith(file)) {
        whole = event
        continue
      }
      if (event.details?.type === 'suite') continue
      tests++
      yield { name: `${of}.${event.name}`, error: event.bad ? because(event.details) : null, seconds: (event.details?.duration_ms ?? 0) / 1000 }
    }
    if (tests === 0) yield { name: `${of}.loads`, error: whole?.bad ? because(whole.details) : 'there is no test in it', seconds: 0 }
    else if (whole?.bad) yield { name: `${of}.ends`, error: because(whole.details), seconds: 0 }
  }
}

// {name, error, seconds} of every test.
export async function* units(folder) {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise((done) => child.on('close', (code, signal) => done(code ?? signal)))
  for await (const line of readline.createInterface({ input: child.stdout })) yield JSON.parse(line)
  const code = await ended
  if (code !== 0) yield { name: 'unit.runner', error: `it ended with ${code}`, seconds: 0 }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.setMaxListeners(0)
  for await (const one of tested(process.argv[2])) console.log(JSON.stringify(one))
  process.exit(0)
}
