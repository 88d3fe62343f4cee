// SPDX-License-Identifier: Apache-2.0
// A reporter for node --test that prints one TAP line per leaf test, so that tools/run_tests can
// count tests rather than files and suites: "ok 3 - suite > test # 12 ms". Errors are indented
// below. A test that has subtests counts through them, and by itself only when it failed while
// none of them did.
export default async function* reporter(source) {
  let number = 0
  const names = [] // by nesting level
  const below = [] // per nesting level: what was seen one level deeper since its test began
  for await (const event of source) {
    const { type, data } = event
    if (type === 'test:start') {
      names.length = data.nesting
      names[data.nesting] = data.name
    } else if (type === 'test:pass' || type === 'test:fail') {
      const failed = type === 'test:fail'
      const children = below[data.nesting + 1]
      below[data.nesting + 1] = undefined
      const seen = (below[data.nesting] ??= { failed: 0 })
      seen.failed += failed ? 1 : 0
      if (children && (!failed || children.failed)) continue
      if (!children && data.details?.type === 'suite' && !failed) continue
      const path = [...names.slice(0, data.nesting), data.name].join(' > ').replaceAll('#', '\\#')
      const note = data.skip !== undefined ? ' # SKIP ' + (data.skip === true ? '' : data.skip)
        : ` # ${Math.round(data.details?.duration_ms ?? 0)} ms`
      // "todo" is no excuse here: a failing test fails
      yield `${failed ? 'not ok' : 'ok'} ${++number} - ${path}${note}\n`
      if (failed) yield describe(data) + '\n'
    } else if (type === 'test:stderr' || type === 'test:stdout') {
      yield indent(data.message)
    } else if (type === 'test:diagnostic' && /^(?!tests|suites|pass|fail|cancelled|skipped|todo|duration_ms)/.test(data.message)) {
      yield `# ${data.message}\n`
    }
  }
}

function describe(data) {
  const error = data.details?.error
  const cause = error?.cause ?? error
  let text = cause?.stack ?? String(cause)
  if (cause && typeof cause === 'object' && 'expected' in cause && 'actual' in cause
    && !text.includes('+ actual'))
    text += `\nexpected: ${show(cause.expected)}\nactual:   ${show(cause.actual)}`
  return indent(`${data.file ?? ''}:${data.line ?? ''}\n${text}`)
}

function show(value) {
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    return String(value)
  }
}

function indent(text) {
  return text.split('\n').map((line) => '    ' + line).join('\n')
}
