import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { bundle, COMMAND } from './compiled.ts';
import { ROOT } from './root.ts';

/** The JavaScript of `npm run build`; its types come from tsc. */
const folder = join(ROOT, 'dist');
rmSync(folder, { recursive: true, force: true });
// The sources are in the package: the maps need not repeat them.
await bundle(folder, COMMAND, { sourcemap: true, sourcesContent: false });
