import type { DirectoryEntry } from '../types.ts'

/** Entries shown; a longer listing would be of little use to a reader. */
export const MAX_LISTED_ENTRIES = 10_000

export interface Listing {
  /** `/ipfs/CID/a`, decoded. */
  readonly path: string
  readonly entries: readonly DirectoryEntry[]
  /** Are there more entries than listed? */
  readonly cut: boolean
}

/** A directory as HTML. Names come from anybody, so everything is escaped. */
export function renderListing({ path, entries, cut }: Listing): string {
  const rows = entries.map(({ name, size }) => {
    const href = escapeHtml(encodePath(`${path}/${name}`))
    return `<tr><td><a href="${href}">${escapeHtml(name)}</a></td><td>${size}</td></tr>`
  })
  const parent = path.split('/').length > 3 ? path.slice(0, path.lastIndexOf('/')) : undefined
  const up = parent === undefined ? '' : `<p><a href="${escapeHtml(encodePath(parent))}">..</a></p>`
  const more = cut ? `<p>Only the first ${MAX_LISTED_ENTRIES} entries are shown.</p>` : ''
  const title = escapeHtml(path)
  return [
    '<!DOCTYPE html>',
    `<html><head><meta charset="utf-8"><title>${title}</title></head><body>`,
    `<h1>${title}</h1>${up}`,
    `<table><tr><th>Name</th><th>Bytes with all below</th></tr>${rows.join('\n')}</table>${more}`,
    '</body></html>\n',
  ].join('\n')
}

export function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/')
}

function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  }
  return text.replace(/[&<>"']/g, character => entities[character] ?? character)
}
