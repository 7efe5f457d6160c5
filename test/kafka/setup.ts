import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CLASSES, HOME, JARS } from './java.ts';

/**
 * Runs once before the tests: reports what is missing on the machine, lets Maven copy Kafka's jars
 * into `lib/`, which git ignores, unless those of this `pom.xml` are there (125 MB, a minute at
 * most), and compiles the programs of `streams/`.
 */
export default function setup(): void {
  for (const [program, argument] of [
    ['java', '-version'],
    ['javac', '-version'],
    ['mvn', '-version'],
  ] as const) {
    const { error } = spawnSync(program, [argument], { stdio: 'ignore' });
    if (error !== undefined) throw missing(`${program} is not on the PATH`);
  }
  copyJars();
  compile();
}

function copyJars(): void {
  const pom = join(HOME, 'pom.xml');
  const copiedBy = join(JARS, 'pom.xml');
  if (existsSync(copiedBy) && readFileSync(copiedBy).equals(readFileSync(pom))) return;
  rmSync(JARS, { recursive: true, force: true });
  const unfinished = `${JARS}.part`;
  const copy = ['-q', '-B', 'dependency:copy-dependencies', `-DoutputDirectory=${unfinished}`];
  const { status } = spawnSync('mvn', ['-f', pom, ...copy], { stdio: 'inherit' });
  if (status !== 0) throw missing(`mvn ended with ${String(status)}, so there are no jars`);
  copyFileSync(pom, join(unfinished, 'pom.xml'));
  renameSync(unfinished, JARS);
}

function compile(): void {
  const files = readdirSync(join(HOME, 'streams')).filter((name) => name.endsWith('.java'));
  const paths = files.map((name) => join(HOME, 'streams', name));
  const options = ['-nowarn', '-encoding', 'UTF-8', '-cp', join(JARS, '*'), '-d', CLASSES];
  const { status } = spawnSync('javac', [...options, ...paths], { stdio: 'inherit' });
  if (status !== 0) throw missing(`javac ended with ${String(status)}`);
}

function missing(reason: string): Error {
  return new TypeError(`the tests with Kafka need a JDK of Java 17 or newer, and Maven: ${reason}`);
}
