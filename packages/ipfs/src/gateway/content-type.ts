const TEXT = 'text/plain; charset=utf-8'
const HTML = 'text/html; charset=utf-8'
const BINARY = 'application/octet-stream'

/** Bytes of a file's start that are looked at when its name says nothing. */
export const SNIFF_BYTES = 512

const BY_EXTENSION: Readonly<Record<string, string>> = {
  avif: 'image/avif',
  bmp: 'image/bmp',
  car: 'application/vnd.ipld.car',
  css: 'text/css; charset=utf-8',
  csv: 'text/csv; charset=utf-8',
  epub: 'application/epub+zip',
  flac: 'audio/flac',
  gif: 'image/gif',
  gz: 'application/gzip',
  htm: HTML,
  html: HTML,
  ico: 'image/vnd.microsoft.icon',
  jpeg: 'image/jpeg',
  jpg: 'image/jpeg',
  js: 'text/javascript; charset=utf-8',
  json: 'application/json',
  m4a: 'audio/mp4',
  md: 'text/markdown; charset=utf-8',
  mjs: 'text/javascript; charset=utf-8',
  mkv: 'video/x-matroska',
  mov: 'video/quicktime',
  mp3: 'audio/mpeg',
  mp4: 'video/mp4',
  ogg: 'audio/ogg',
  ogv: 'video/ogg',
  otf: 'font/otf',
  pdf: 'application/pdf',
  png: 'image/png',
  svg: 'image/svg+xml',
  tar: 'application/x-tar',
  ttf: 'font/ttf',
  txt: TEXT,
  wasm: 'application/wasm',
  wav: 'audio/wav',
  webm: 'video/webm',
  webp: 'image/webp',
  woff: 'font/woff',
  woff2: 'font/woff2',
  xml: 'application/xml',
  zip: 'application/zip',
}

/** First bytes (latin1) of formats that browsers show. */
const BY_START: readonly (readonly [start: string, type: string])[] = [
  ['\x89PNG\r\n\x1a\n', 'image/png'],
  ['\xff\xd8\xff', 'image/jpeg'],
  ['GIF87a', 'image/gif'],
  ['GIF89a', 'image/gif'],
  ['%PDF-', 'application/pdf'],
  ['PK\x03\x04', 'application/zip'],
  ['\x1f\x8b\x08', 'application/gzip'],
  ['\x1aE\xdf\xa3', 'video/webm'],
  ['OggS', 'application/ogg'],
  ['ID3', 'audio/mpeg'],
  ['\0asm', 'application/wasm'],
]

/** By extension, else by the first bytes. */
export function contentType(name: string, start: Uint8Array): string {
  return typeOfName(name) ?? sniff(start)
}

export function typeOfName(name: string): string | undefined {
  const extension = /\.([^.]+)$/.exec(name)?.[1]?.toLowerCase()
  return extension === undefined || !Object.hasOwn(BY_EXTENSION, extension)
    ? undefined
    : BY_EXTENSION[extension]
}

function sniff(start: Uint8Array): string {
  const text = Buffer.from(start.buffer, start.byteOffset, start.length).toString('latin1')
  for (const [magic, type] of BY_START) if (text.startsWith(magic)) return type
  if (text.startsWith('ftyp', 4)) return 'video/mp4'
  if (text.startsWith('RIFF') && text.startsWith('WEBP', 8)) return 'image/webp'
  if (/^\s*<(!doctype html|html|head|body|script)[\s>]/i.test(text)) return HTML
  return isText(start) ? TEXT : BINARY
}

function isText(start: Uint8Array): boolean {
  // Control characters other than tab, line feed, form feed, carriage return and escape.
  if (start.some(byte => byte < 0x20 && ![0x09, 0x0a, 0x0c, 0x0d, 0x1b].includes(byte))) return false
  try {
    // A character may be cut in two at the end, which a stream allows.
    new TextDecoder('utf-8', { fatal: true }).decode(start, { stream: true })
    return true
  } catch {
    return false
  }
}
