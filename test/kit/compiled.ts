import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, type BuildOptions } from 'esbuild';
import { globSync } from 'tinyglobby';
import { assert } from '../../core/internal.ts';
import { ROOT } from './root.ts';

/** The command, and what it gives to the loader of modules by its path. */
export const COMMAND = ['cli/main.ts', 'cli/typescript-hooks.ts'];
/** The variable that has the folder, so that worker processes inherit it. */
const FOLDER = 'MILLRACE_COMPILED';
const PROGRAMS = [...COMMAND, 'test/**/*-process.ts', 'test/soak/worker.ts'];

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly type: string;
  readonly exports: Readonly<Record<string, { readonly default: string }>>;
}

/** Read when it is needed: beside a program that is compiled itself there is another one. */
function manifest(): Manifest {
  return JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;
}

/** What package.json exports, and the file in the built package. */
function doors(): [door: string, path: string][] {
  return Object.entries(manifest().exports).map(([door, { default: path }]) => {
    return [door, path.replace('./dist/', './')];
  });
}

/**
 * Compiles what package.json exports and other `programs` into `folder`. What several of them share
 * becomes a few files: Node takes longer to find and read hundreds of small ones than to run them.
 */
export async function bundle(
  folder: string,
  programs: readonly string[],
  options: Pick<BuildOptions, 'sourcemap' | 'sourcesContent'> = {},
): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: [...doors().map(([, path]) => path.replace(/\.js$/, '.ts')), ...programs],
    outdir: folder,
    outbase: ROOT,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    logLevel: 'error',
    ...options,
  });
}

/** The programs that tests run in processes of their own. */
function testPrograms(): string[] {
  return globSync(PROGRAMS, { cwd: ROOT, ignore: '**/node_modules/**' });
}

/**
 * Compiles the package and programs that run in processes of their own: these start in a fifth of
 * the time that tsx takes. `folder` becomes a copy of the package `millrace`.
 */
export async function compile(
  folder: string,
  programs: readonly string[] = testPrograms(),
): Promise<void> {
  const { name, version, type } = manifest();
  await bundle(folder, programs);
  const content = { name, version, type, exports: Object.fromEntries(doors()) };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(content));
  process.env[FOLDER] = folder;
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
