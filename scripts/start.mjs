// `npm start`: a whole cluster on this machine. Plain JavaScript, so that any Node can begin; the rest is `start/main.ts`.
import { launch } from '../packages/base/launcher.mjs'

await launch(new URL('./start/main.ts', import.meta.url).href)
