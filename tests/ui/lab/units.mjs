// SPDX-License-Identifier: Apache-2.0
// Runs tests/ui/unit/*.test.mjs, the tests of the page's modules that need no browser, by node's own runner.
import fs from 'node:fs'
import path from 'node:path'
import { run } from 'node:test'

const FILE_MS = 30000

// One file at a time: not every node says which file an event is from.
async function* events(file) {
  for await (const event of run({ files: [file], concurrency: 1, timeout: FILE_MS }))
    if (event.type === 'test:pass' || event.type === 'test:fail') yield { bad: event.type === 'test:fail', ...event.data }
}

function because({ error }) {
  const cause = error?.cause ?? error
  return String(cause?.stack ?? cause ?? 'no reason given')
}

// {name, error, seconds} of every test. A file that does not load or has no test is a failed one.
export async function* units(folder) {
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
