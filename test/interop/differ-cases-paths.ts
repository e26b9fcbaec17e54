/** Routing and HTTP itself: methods, slashes, escapes, unknown paths, requests that are none, several on one connection. */
import { ask, bytes, cidOf, pipeline, type DifferCase } from './differ-case.ts'

const CID = cidOf(1)

const wrongMethods: readonly DifferCase[] = [
  ...['HEAD', 'OPTIONS', 'PUT', 'PATCH', 'DELETE', 'POST', 'TRACE'].map(method => ask(method, '/id')),
  ...['HEAD', 'GET', 'PUT', 'DELETE'].map(method => ask(method, '/add')),
  ask('DELETE', '/pins'),
  ask('HEAD', '/pins'),
  ask('OPTIONS', '/pins'),
  ask('POST', '/pins'),
  ask('PUT', `/pins/${CID}`),
  ask('HEAD', `/pins/${CID}`),
  ask('PATCH', `/pins/${CID}`),
  ask('GET', `/pins/${CID}/recover`),
  ask('POST', `/allocations/${CID}`),
  ask('GET', '/ipfs/gc'),
  ask('GET', '/token'),
  ask('POST', '/health'),
  ask('GET', '/peers/{self}'),
  ask('DELETE', '/peers'),
  ask('FROB', '/id'),
  ask('GET', `/pins/ipfs/${CID}`),
  ask('HEAD', '/nothing'),
]

const paths: readonly DifferCase[] = [
  ...['/', '/nothing', '/ID', '/id/x', '/api/v0/id', '/pins/a/b', '/pins/a/b/c', '/health/nothing'].map(
    path => ask('GET', path),
  ),
  ...['/id/', '/pins/', '/peers/', `/pins/${CID}/`, '/health/', '/nothing/', '//', '///', '/id//'].map(path =>
    ask('GET', path),
  ),
  ask('POST', '/add/'),
  ask('POST', `/pins/ipfs/${CID}/`),
  ask('POST', '/pins/recover/?local=true'),
  ask('GET', '/pins/?local=true&filter=pinned'),
  ...[
    '//id',
    '/./id',
    '/../id',
    '/x/../id',
    '/pins//',
    '/pins/./recover',
    '//host/path',
    '/id/.',
    '/id/..',
  ].map(path => ask('GET', path)),
  ask('POST', `//pins/${CID}`),
  ask('GET', '//id?a=b'),
  ...[
    '/%69d',
    '/id%2F',
    '/pins%2Frecover',
    '/pins/a%2Fb',
    `/pins/${CID}%2Frecover`,
    '/id%00',
    '/%',
    '/%zz',
  ].map(path => ask('GET', path)),
  ask('GET', '/pins/%20'),
  ask('GET', '/monitor/metrics/%C3%A4'),
  ask('GET', '/monitor/metrics/a%2Fb'),
  ask('GET', '/monitor/metrics/a+b'),
  ask('GET', '/nothing%20here/'),
  ask('GET', '/id?'),
  ask('GET', '/id?%zz'),
  ask('GET', '/pins?local=true;filter=x'),
  ask('GET', '/pins?filter=%zz'),
  ask('GET', '/id#fragment'),
  ask('GET', `/${'x'.repeat(3000)}`),
  ask('GET', `/${'x'.repeat(9000)}`, { note: 'beyond the header limit' }),
]

const http: readonly DifferCase[] = [
  ask('GET', '/version', { note: 'HTTP/1.0', version: '1.0' }),
  ask('GET', '/version', {
    note: 'HTTP/1.0 keep-alive',
    version: '1.0',
    headers: ['Connection: keep-alive'],
  }),
  ask('GET', '/pins?local=true', { note: 'HTTP/1.0', version: '1.0', order: 'lines' }),
  ask('GET', '/version', { note: 'HTTP/2.0', version: '2.0' }),
  ask('GET', '/version', { note: 'Connection: close', headers: ['Connection: close'] }),
  ask('GET', '/pins?local=true', {
    note: 'Connection: close',
    headers: ['Connection: close'],
    order: 'lines',
  }),
  ask('GET', '/version', { note: 'with a body', body: '{"x":1}' }),
  ask('GET', '/version', { note: 'with a chunked body', body: '{"x":1}', chunked: true }),
  ask('GET', 'http://differ/version'),
  ask('GET', 'http://other.example/id/'),
  ask('OPTIONS', '*'),
  ask('POST', '/peers', { note: 'Expect', headers: ['Expect: 100-continue'], body: '{"peer_id":"x"}' }),
  ask('POST', '/peers', { note: 'unknown Expect', headers: ['Expect: 200-maybe'], body: '{"peer_id":"x"}' }),
  ask('GET', '/version', { note: '7 KiB of headers', headers: [`X-Large: ${'x'.repeat(7000)}`] }),
  ask('GET', '/version', { note: '9 KiB of headers', headers: [`X-Large: ${'x'.repeat(9000)}`] }),
  ask('GET', '/version', {
    note: '200 headers',
    headers: Array.from({ length: 200 }, (_, i) => `X-${i}: y`),
  }),
  ask('GET', '/version', { note: 'Accept-Encoding', headers: ['Accept-Encoding: gzip'] }),
  ask('GET', '/version', { note: 'conditional', headers: ['If-None-Match: *', 'Range: bytes=0-1'] }),
  ask('GET', '/version', { note: 'upgrade to h2c', headers: ['Connection: Upgrade', 'Upgrade: h2c'] }),
  ask('GET', '/version', { note: 'credentials that nobody wants', headers: ['Authorization: Basic dTpw'] }),
  bytes('no Host', 'GET /version HTTP/1.1\r\n\r\n'),
  bytes('two Hosts', 'GET /version HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'),
  bytes('a bad Host', 'GET /version HTTP/1.1\r\nHost: a b/<>\r\n\r\n'),
  bytes('no HTTP', 'hello\r\n\r\n'),
  bytes('a lower-case method', 'get /version HTTP/1.1\r\nHost: a\r\n\r\n'),
  bytes('no path', 'GET  HTTP/1.1\r\nHost: a\r\n\r\n'),
  bytes('a relative path', 'GET version HTTP/1.1\r\nHost: a\r\n\r\n'),
  bytes('a space in the path', 'GET /ver sion HTTP/1.1\r\nHost: a\r\n\r\n'),
  bytes('only line feeds', 'GET /version HTTP/1.1\nHost: a\n\n'),
  bytes('a bad header', 'GET /version HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n'),
  bytes('a space before the colon', 'GET /version HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n'),
  bytes('a bad length', 'POST /peers HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n'),
  bytes('two lengths', 'POST /peers HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'),
  bytes(
    'length and chunked',
    'POST /peers HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ),
  bytes('bad chunks', 'POST /peers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n'),
  bytes('an unknown coding', 'POST /peers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n'),
  {
    ...bytes('a body cut short', 'POST /peers HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"pe'),
    halfClose: true,
  },
  bytes('TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
]

const cors: readonly DifferCase[] = [
  ask('GET', '/version', { note: 'Origin', headers: ['Origin: http://a.example'] }),
  ask('POST', '/pins/x', { note: 'Origin', headers: ['Origin: http://a.example'] }),
  ask('GET', '/nothing', { note: 'Origin', headers: ['Origin: http://a.example'] }),
  ask('GET', '/id/', { note: 'Origin', headers: ['Origin: http://a.example'] }),
  ask('OPTIONS', '/id', { note: 'Origin, no preflight', headers: ['Origin: http://a.example'] }),
  ...['GET', 'POST', 'DELETE', 'HEAD', 'get', ''].map(method =>
    ask('OPTIONS', '/pins', {
      note: `preflight for ${method || 'nothing'}`,
      headers: ['Origin: http://a.example', `Access-Control-Request-Method: ${method}`],
    }),
  ),
  ask('OPTIONS', '/nothing', {
    note: 'preflight',
    headers: ['Origin: x', 'Access-Control-Request-Method: GET'],
  }),
  ask('OPTIONS', '/pins', { note: 'preflight, no Origin', headers: ['Access-Control-Request-Method: GET'] }),
  ...['x-own', 'content-type', 'authorization,x-b'].map(names =>
    ask('OPTIONS', '/pins', {
      note: `preflight with ${names}`,
      headers: [
        'Origin: http://a.example',
        'Access-Control-Request-Method: GET',
        `Access-Control-Request-Headers: ${names}`,
      ],
    }),
  ),
]

const several: readonly DifferCase[] = [
  pipeline('three reads', [ask('GET', '/version'), ask('GET', '/health'), ask('GET', '/version')]),
  pipeline('an error between', [ask('GET', '/version'), ask('GET', '/nothing'), ask('PUT', '/id')]),
  pipeline('a stream, a body, an error', [
    ask('GET', '/allocations?filter=shard-pin'),
    ask('POST', '/peers', { body: 'x' }),
    ask('GET', '/pins?filter=x'),
  ]),
  pipeline('unread bodies', [
    ask('POST', '/pins/x', { body: 'x'.repeat(5000) }),
    ask('DELETE', '/pins/x', { body: 'y' }),
    ask('GET', '/version'),
  ]),
  pipeline('an add between', [ask('GET', '/version'), ask('POST', '/add'), ask('GET', '/version')]),
]

export const pathCases: readonly DifferCase[] = [...wrongMethods, ...paths, ...http, ...cors, ...several]
