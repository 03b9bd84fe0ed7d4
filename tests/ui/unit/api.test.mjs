// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import { ApiError, apiUrl, createApi } from '../../../web/js/api.js'

const answer = (body, { status = 200, headers = {} } = {}) => async () => new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers })
const refusal = async (fetch) => {
  try {
    await createApi({ fetch }).get('/edges')
  } catch (error) {
    assert.ok(error instanceof ApiError, String(error.stack))
    return error
  }
  return assert.fail('it was answered')
}

test('urls', () => {
  assert.equal(apiUrl('/edges'), '/api/v1/edges')
  assert.equal(apiUrl('/edges', { a: null, b: undefined, c: '' }), '/api/v1/edges')
  assert.equal(apiUrl('/edges', { port: 0, host: 'a b&c', live: false }), '/api/v1/edges?port=0&host=a+b%26c&live=false')
})

test('answers', async () => {
  const asked = []
  const api = createApi({ fetch: async (url, init) => {
    asked.push([url, init.headers.Accept])
    return new Response('{"edges":[]}')
  } })
  assert.deepEqual(await api.get('/edges', { limit: 5 }), { edges: [] })
  assert.deepEqual(asked, [['/api/v1/edges?limit=5', 'application/json']])
})

test('errors', async () => {
  for (const [status, body, kind, retry, message, hint] of [
    [404, { error: 'no such edge', hint: 'ids are in /edges' }, 'missing', false, 'no such edge', 'ids are in /edges'], [400, { error: 'limit: not a number' }, 'refused', false, 'limit: not a number', ''],
    [429, {}, 'server', true, 'the server answered 429', /again/], [500, 'a page', 'server', true, 'the server answered 500', /again/], [503, { error: 7, hint: null }, 'server', true, 'the server answered 503', /again/],
    [403, '', 'refused', false, 'the server answered 403', ''], [502, 'null', 'server', true, 'the server answered 502', /again/],
  ]) {
    const error = await refusal(answer(body, { status }))
    assert.deepEqual([error.kind, error.retry, error.status, error.message], [kind, retry, status, message])
    if (hint instanceof RegExp) assert.match(error.hint, hint)
    else assert.equal(error.hint, hint)
  }
  assert.deepEqual([(await refusal(answer('<html>'))).kind, (await refusal(answer(''))).kind], ['answer', 'answer'])
  const none = await refusal(async () => { throw new TypeError('fetch failed') })
  assert.deepEqual([none.kind, none.retry], ['network', true])
})

// A server that never answers; like fetch, it is ended by its signal.
const never = (_url, { signal }) => new Promise((_, no) => {
  const end = () => no(new DOMException('ended', 'AbortError'))
  if (signal.aborted) end()
  signal.addEventListener('abort', end)
})

test('given_up', async () => {
  const late = await createApi({ fetch: never }).get('/edges', {}, { timeout_ms: 5 }).catch((error) => error)
  assert.deepEqual([late.kind, late.retry], ['timeout', true])
  const stop = new AbortController()
  const ended = createApi({ fetch: never }).get('/edges', {}, { signal: stop.signal }).catch((error) => error)
  stop.abort()
  assert.deepEqual([(await ended).kind, (await ended).retry], ['aborted', false])
  const before = await createApi({ fetch: never }).get('/edges', {}, { signal: stop.signal }).catch((error) => error)
  assert.equal(before.kind, 'aborted')
})

test('clock', async () => {
  const here = 1795424671000
  const ask = async (offset_ms, body, headers) => {
    const api = createApi({ clock_ms: () => here, fetch: answer(body, { headers }) })
    assert.equal(api.offset_s(), 0)
    await api.get('/edges').catch(() => {})
    assert.ok(Math.abs(api.offset_s() - offset_ms / 1000) <= 0.6, `${api.offset_s()}`)
    assert.equal(api.now(), here / 1000 + api.offset_s())
  }
  await ask(3600000, { generated_at: here + 3600000 })
  await ask(-3600000, { generated_at: here - 3600000 })
  await ask(3600000, {}, { date: new Date(here + 3600000).toUTCString() })
  await ask(0, { generated_at: 'now' }, { date: 'nonsense' })
  await ask(0, { generated_at: 1795424671 }, {})
  await ask(0, {}, { date: new Date(here).toUTCString() })
})
