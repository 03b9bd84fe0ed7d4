// SPDX-License-Identifier: Apache-2.0
// Makes the page's files out of web/ for server/page.c. The only program that knows npm and esbuild.
//
//     node build.mjs BUILD FILE    bundles web/ and writes FILE (C) and FILE.d (what it was made of)
//     node build.mjs --check BUILD checks the types of web/js; exit 1 when something is wrong
//
// BUILD is web/ of a build folder. What npm installs lies in BUILD/npm, never in the source tree, and is installed
// again only when the lock file has changed. BUILD/page is the same page with readable code and without hashes in the
// names, for `skyfall run --web-root`.
//
// What belongs to the page is what index.html names (href and src that begin with '/') and what that imports. Everything
// but index.html is embedded as /assets/NAME-HASH.TYPE: the name changes with the content, so a browser may keep it for
// ever. Each file is embedded as it is and, where that is smaller, as gzip -9.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import zlib from 'node:zlib'

const web = path.dirname(fileURLToPath(import.meta.url))
const sha = (data) => createHash('sha256').update(data).digest('hex')

const types = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  png: 'image/png',
  woff2: 'font/woff2',
}

function die(text) {
  console.error(`web: ${text}`)
  process.exit(1)
}

// The packages of the lock file in `npm`.
function install(npm) {
  const stamp = path.join(npm, 'installed')
  const lock = fs.readFileSync(path.join(web, 'package-lock.json'))
  const want = sha(lock)
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === want) return
  fs.rmSync(stamp, { force: true })
  fs.mkdirSync(npm, { recursive: true })
  fs.writeFileSync(path.join(npm, 'package-lock.json'), lock)
  fs.copyFileSync(path.join(web, 'package.json'), path.join(npm, 'package.json'))
  // No scripts of packages: esbuild works without its own.
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--fetch-retries=1',
    '--fetch-retry-mintimeout=1000', '--fetch-timeout=60000']
  const done = spawnSync('npm', args, { cwd: npm, encoding: 'utf8' })
  if (done.error || done.status !== 0) {
    const said = `${done.stderr || ''}${done.error || ''}`.split('\n')
    const why = said.filter((s) => /npm (ERR!|error) (?!A complete log)/.test(s)).map((s) => s.replace(/.*(ERR!|error) /, ''))
    die(`npm could not install uplot and esbuild (${(why[0] || said[0]).trim()}): is its registry reachable? ` +
      `Without the page the build needs no npm: meson configure ${path.dirname(build)} -Dweb=false`)
  }
  fs.writeFileSync(stamp, want)
}

// Type check: the source's tsconfig.json, with the packages where they are.
function check(npm) {
  const config = {
    extends: path.join(web, 'tsconfig.json'),
    compilerOptions: { paths: { uplot: [path.join(npm, 'node_modules/uplot/dist/uPlot.d.ts')] } },
    include: [path.join(web, 'js')],
  }
  const file = path.join(npm, 'tsconfig.json')
  fs.writeFileSync(file, JSON.stringify(config))
  const tsc = path.join(npm, 'node_modules/typescript/bin/tsc')
  process.exit(spawnSync(process.execPath, [tsc, '-p', file], { cwd: web, stdio: 'inherit' }).status ?? 1)
}

// What index.html names: [{text: the attribute, at: "/js/app.js"}].
function named(html) {
  const found = []
  for (const m of html.matchAll(/\b(?:href|src)="(\/[^"?#/][^"?#]*)"/g)) found.push({ text: m[0], at: m[1] })
  return found
}

// name -> bytes of the whole page. hashed: as it is embedded.
async function bundle(esbuild, npm, hashed, ret_inputs) {
  const html = fs.readFileSync(path.join(web, 'index.html'), 'utf8')
  const loader = Object.fromEntries(['svg', 'png', 'woff2'].map((t) => [`.${t}`, 'file']))
  const name = hashed ? 'assets/[name]-[hash]' : 'assets/[name]'
  const files = new Map()
  const links = new Map()
  for (const { at } of named(html)) {
    const source = path.join(web, at)
    if (!fs.existsSync(source)) die(`index.html names ${at}, and there is no such file`)
    const code = /\.(js|css)$/.test(at)
    if (!code && !(path.extname(at).slice(1) in types)) die(`index.html names ${at}: no type is known for it`)
    const made = await esbuild.build({
      entryPoints: [source], absWorkingDir: web, outdir: path.join(npm, 'out'), entryNames: name, assetNames: name,
      bundle: true, format: 'esm', target: 'es2022', charset: 'utf8', legalComments: 'none', loader: code ? loader : { [path.extname(at)]: 'copy' },
      minify: hashed, sourcemap: hashed ? false : 'inline', nodePaths: [path.join(npm, 'node_modules')], publicPath: '/',
      write: false, metafile: true, logLevel: 'silent',
    }).catch((e) => {
      for (const x of e.errors ?? []) console.error(`web/${x.location?.file}:${x.location?.line}:${x.location?.column}: ${x.text}`)
      die(`${at} could not be bundled${e.errors ? '' : `: ${e}`}`)
    })
    for (const file of Object.keys(made.metafile.inputs)) ret_inputs.add(path.join(web, file))
    for (const [file, o] of Object.entries(made.metafile.outputs))
      if (o.entryPoint) links.set(at, `/${path.relative(path.join(npm, 'out'), path.join(web, file))}`)
    for (const file of made.outputFiles) files.set(`/${path.relative(path.join(npm, 'out'), file.path)}`, Buffer.from(file.contents))
  }
  let text = html
  for (const { text: attribute, at } of named(html)) text = text.replaceAll(attribute, attribute.replace(at, links.get(at)))
  files.set('/index.html', Buffer.from(text))
  return files
}

// Bytes as a C string literal: compilers read it many times faster than a list of numbers.
function literal(bytes) {
  const lines = []
  for (let i = 0; i < bytes.length; i += 64) {
    let s = ''
    for (const b of bytes.subarray(i, i + 64)) s += `\\${b.toString(8).padStart(3, '0')}`
    lines.push(`\t"${s}"`)
  }
  return lines.join('\n') || '\t""'
}

function to_c(files) {
  const rows = []
  let out = '/* Made by web/build.mjs. */\n'
  for (const name of [...files.keys()].sort()) {
    const raw = files.get(name)
    const gz = zlib.gzipSync(raw, { level: 9 })
    const n = rows.length
    const smaller = gz.length < raw.length
    const type = types[path.extname(name).slice(1)] ?? die(`no type is known for ${name}`)
    out += `static const char page_raw_${n}[] =\n${literal(raw)};\n`
    if (smaller) out += `static const char page_gz_${n}[] =\n${literal(gz)};\n`
    rows.push(`\t{"${name}", "${type}", "${sha(raw).slice(0, 16)}", ${name.startsWith('/assets/')}, ` +
      `page_raw_${n}, ${raw.length}, ${smaller ? `page_gz_${n}, ${gz.length}` : 'NULL, 0'}},`)
  }
  return `${out}static const struct page_file page_files[] = {\n${rows.join('\n')}\n};\n`
}

// In place: a running server with --web-root holds the folder open. What is no longer made goes.
function write_folder(folder, files) {
  const old = fs.existsSync(folder) ? fs.readdirSync(folder, { recursive: true }) : []
  for (const [name, bytes] of files) {
    const file = path.join(folder, name)
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, bytes)
  }
  for (const name of old)
    if (fs.statSync(path.join(folder, name)).isFile() && !files.has(`/${name}`)) fs.rmSync(path.join(folder, name))
}

if (process.argv.length !== 4) die('usage: build.mjs BUILD FILE | build.mjs --check BUILD')
const checking = process.argv[2] === '--check'
const build = path.resolve(process.argv[checking ? 3 : 2])
const npm = path.join(build, 'npm')
install(npm)
if (checking) check(npm)
const esbuild = await import(pathToFileURL(path.join(npm, 'node_modules/esbuild/lib/main.js')))
const inputs = new Set([path.join(web, 'index.html')])
const file = process.argv[3]
fs.writeFileSync(file, to_c(await bundle(esbuild.default, npm, true, inputs)))
write_folder(path.join(build, 'page'), await bundle(esbuild.default, npm, false, inputs))
// What npm installed changes with the lock file only.
const made_of = [...inputs].filter((f) => !f.includes('/node_modules/')).sort()
fs.writeFileSync(`${file}.d`, `${file}: ${made_of.map((f) => f.replace(/ /g, '\\ ')).join(' ')}\n`)
