import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { globSync } from 'tinyglobby';
import { assert } from '../../core/internal.ts';
import { ROOT } from './root.ts';

/** The variable that has the folder, so that worker processes inherit it. */
const FOLDER = 'MILLRACE_COMPILED';
const PROGRAMS = [
  'cli/main.ts',
  'cli/typescript-hooks.ts',
  'test/**/*-process.ts',
  'test/soak/worker.ts',
];

/**
 * Compiles the package and the programs that tests run in processes of their own: these start in a
 * fifth of the time that tsx takes. `folder` becomes a copy of the package `millrace`.
 */
export async function compile(folder: string): Promise<void> {
  const { name, version, type, exports } = JSON.parse(
    readFileSync(join(ROOT, 'package.json'), 'utf8'),
  ) as { name: string; version: string; type: string; exports: Record<string, ExportPaths> };
  const doors = Object.entries(exports).map(([door, { default: path }]) => {
    return [door, path.replace('./dist/', './')] as const;
  });
  const indexes = doors.map(([, path]) => path.replace(/\.js$/, '.ts'));
  await build({
    absWorkingDir: ROOT,
    entryPoints: [...indexes, ...globSync(PROGRAMS, { cwd: ROOT, ignore: '**/node_modules/**' })],
    outdir: folder,
    outbase: ROOT,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    logLevel: 'error',
  });
  const content = { name, version, type, exports: Object.fromEntries(doors) };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(content));
  process.env[FOLDER] = folder;
}

interface ExportPaths {
  readonly default: string;
}

/** A new folder for `compile`, from which imports find the project's packages. */
export function compiledFolder(): string {
  return join(ROOT, 'node_modules/.cache', `millrace-${process.pid}`);
}

/** The compiled package. */
export function compiledPackage(): string {
  const folder = process.env[FOLDER];
  assert(folder !== undefined, 'the programs are compiled before the tests run');
  return folder;
}

/** The compiled form of a program, given by its path from the root: `cli/main.ts`. */
export function compiledProgram(path: string): string {
  return join(compiledPackage(), path.replace(/\.ts$/, '.js'));
}
